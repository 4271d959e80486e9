"""DeepLabV3: agreement with Apple's and transformers' outputs, and torchvision's segmentation contract."""

import math
import warnings
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn
from torch.export import Dim
from torch.nn import functional as F

from mvdet import create_model, list_backbones
from mvdet.backbones import VARIANTS
from mvdet.checkpoints import convert_state_dict, export_state_dict
from mvdet.models import list_models

CASES = ["mobilevit_s", "mobilevitv2_100"]
PARAMETERS = {  # with 21 classes; the design's and the reference's
    "mobilevit_xxs": 1_854_853,
    "mobilevit_xs": 2_944_069,
    "mobilevit_s": 6_357_941,
    "mobilevitv2_100": 13_763_987,
}
V1, V2 = "deeplabv3_mobilevit_xxs", "deeplabv3_mobilevitv2_050"


@pytest.mark.parametrize("name", CASES)
def test_apples_outputs(name: str, reference: Callable, difference: Callable[[Tensor, Tensor], float]) -> None:
    case = reference(f"deeplabv3_{name}")
    model = create_model(f"deeplabv3_{name}", num_classes=21).eval()
    model.load_state_dict(convert_state_dict(case.state_dict, to=model, bgr=False))
    wanted = case.outputs["mask_logits_every4"]
    with torch.no_grad():
        for fused in (False, True):
            out = (model.fuse() if fused else model)(case.images)
            assert out.keys() == ({"out", "aux"} if VARIANTS[name].version == 2 else {"out"})
            assert difference(out["out"][..., ::4, ::4], wanted) < 1e-4


def test_apples_auxiliary_head(reference: Callable, difference: Callable[[Tensor, Tensor], float]) -> None:
    """The reference holds its weights, not its output: here are its layers, by themselves."""
    case = reference("deeplabv3_mobilevitv2_100")
    model = create_model("deeplabv3_mobilevitv2_100").eval()
    model.load_state_dict(convert_state_dict(case.state_dict, to=model))
    x = torch.rand(2, 384, 7, 9)
    weight = {key.removeprefix("seg_head.aux_head."): value for key, value in case.state_dict.items()}
    norm = [weight[f"0.block.norm.{key}"] for key in ("running_mean", "running_var", "weight", "bias")]
    wanted = F.batch_norm(F.conv2d(x, weight["0.block.conv.weight"], padding=1), *norm).relu()
    wanted = F.conv2d(wanted, weight["2.block.conv.weight"], weight["2.block.conv.bias"])
    assert difference(model.aux_head(x), wanted) < 1e-5
    # it reads the map at stride 16
    with torch.no_grad():
        maps = model.backbone(case.images)
        assert difference(model(case.images, upsample=False)["aux"], model.aux_head(maps[0])) < 1e-6


@pytest.mark.parametrize("name", CASES)
def test_weights_go_back_to_apple(name: str, reference: Callable) -> None:
    case = reference(f"deeplabv3_{name}")
    model = create_model(f"deeplabv3_{name}")
    model.load_state_dict(convert_state_dict(case.state_dict, to=model))
    exported = export_state_dict(model, "cvnets")
    assert exported.keys() == case.state_dict.keys()
    assert all(torch.equal(exported[key], value) for key, value in case.state_dict.items())


@pytest.mark.parametrize("name", list_backbones())
def test_every_variant(name: str) -> None:
    model = create_model(f"deeplabv3_{name}")
    assert name not in PARAMETERS or sum(p.numel() for p in model.parameters()) == PARAMETERS[name]
    has_aux = VARIANTS[name].version == 2
    logits = model(torch.rand(2, 3, 64, 96))
    assert {key: value.shape for key, value in logits.items()} == dict.fromkeys(
        ("out", "aux") if has_aux else ("out",), (2, 21, 64, 96)
    )
    sum(value.square().mean() for value in logits.values()).backward()
    assert all(p.grad is not None for p in model.parameters())


def test_names() -> None:
    assert [name for name in list_models() if name.startswith("deeplabv3_")] == [
        f"deeplabv3_{name}" for name in list_backbones()
    ]
    with pytest.raises(ValueError, match="unknown model 'deeplabv3_mobilevit_m'; did you mean deeplabv3_mobilevit_"):
        create_model("deeplabv3_mobilevit_m")
    with pytest.raises(TypeError, match="unknown option of deeplabv3_mobilevit_xxs 'aux'; did you mean aux_head"):
        create_model(V1, aux=True)


@pytest.mark.parametrize("name", [V1, V2])
@pytest.mark.parametrize("size", [(1, 1), (7, 40), (65, 97), (80, 112)])
@pytest.mark.parametrize("output_stride", [8, 16])
def test_any_size(name: str, size: tuple[int, int], output_stride: int) -> None:
    model = create_model(name, num_classes=5, output_stride=output_stride).eval()
    with torch.no_grad():
        images = torch.rand(1, 3, *size)
        raw, full = model(images, upsample=False), model(images)
    step = 2 if name == V2 else 1  # v2 goes on with even sizes
    wanted = tuple(math.ceil(math.ceil(side / output_stride) / step) * step for side in size)
    for key, value in full.items():
        assert value.shape == (1, 5, *size)
        assert value.isfinite().all()
        assert raw[key].shape == (1, 5, *wanted)
        stretched = F.interpolate(raw[key], size, mode="bilinear", align_corners=True)
        torch.testing.assert_close(value, stretched)


def test_a_batch_is_its_images() -> None:
    model = create_model(V2, num_classes=4).eval()
    images = torch.rand(2, 3, 64, 64)
    with torch.no_grad():
        together, alone = model(images), [model(image[None]) for image in images]
    for key, value in together.items():
        torch.testing.assert_close(value, torch.cat([one[key] for one in alone]), rtol=1e-3, atol=1e-5)


class TestTraining:
    """Losses reach where they should, and nothing else."""

    def test_gradients_flow_through_the_auxiliary_head(self) -> None:
        model = create_model(V2, num_classes=4)
        F.cross_entropy(model(torch.rand(2, 3, 64, 64))["aux"], torch.zeros(2, 64, 64, dtype=torch.int64)).backward()
        assert all(p.grad is not None and p.grad.any() for p in model.aux_head.parameters())
        assert model.backbone.stem.conv.weight.grad.any()
        assert all(p.grad is None for p in model.head.parameters())
        assert all(p.grad is None for p in model.backbone.stages[4].parameters())

    @pytest.mark.parametrize("option", ["freeze", "freeze_batch_norm"])
    def test_what_is_frozen_stays(self, option: str) -> None:
        model = create_model(V1, num_classes=4, **{option: True})
        before = {key: value.clone() for key, value in model.backbone.state_dict().items()}
        optimizer = torch.optim.SGD((p for p in model.parameters() if p.requires_grad), lr=0.1)
        model.train()(torch.rand(2, 3, 64, 64))["out"].square().mean().backward()
        optimizer.step()
        changed = {key for key, value in model.backbone.state_dict().items() if not torch.equal(value, before[key])}
        assert not {key for key in changed if ".norm." in key and "running" in key}
        assert bool(changed) == (option == "freeze_batch_norm")
        assert all(p.grad is not None for p in model.head.parameters())
        assert model.head.aspp.project.norm.training

    def test_dropout_is_off_in_evaluation(self) -> None:
        model = create_model(V2, num_classes=4, dropout=0.5).eval()
        images = torch.rand(2, 3, 64, 64)
        first, second = model(images), model(images)
        assert all(torch.equal(first[key], second[key]) for key in first)
        assert {m.p for m in model.modules() if isinstance(m, nn.Dropout2d)} == {0.5}
        assert {m.p for m in create_model(V2).modules() if isinstance(m, nn.Dropout2d)} == {0.1}

    def test_a_single_image(self) -> None:
        model = create_model(V1, num_classes=4)
        with pytest.raises(ValueError, match="training needs two images at least in a batch, got 1"):
            model.train()(torch.rand(1, 3, 64, 64))
        assert model.eval()(torch.rand(1, 3, 64, 64))["out"].shape == (1, 4, 64, 64)


class TestOptions:
    """Arguments of the class, through `create_model`."""

    def test_the_backbones(self) -> None:
        model = create_model(V1, in_channels=1, output_stride=8, aux_head=True, aspp_channels=32).eval()
        assert model.backbone.strides == (8, 8)
        assert model.aux_head.project.conv.weight.shape == (128, 64, 3, 3)
        assert model.head.classifier.in_channels == 32
        with torch.no_grad():
            raw = model(torch.rand(1, 1, 64, 96), upsample=False)
        assert {key: value.shape for key, value in raw.items()} == dict.fromkeys(("out", "aux"), (1, 21, 8, 12))

    @pytest.mark.parametrize("output_stride", [8, 16, 32])
    def test_rates_are_those_given_at_every_output_stride(self, output_stride: int) -> None:
        for options, rates in (({}, (6, 12, 18)), ({"atrous_rates": (12, 24, 36)}, (12, 24, 36))):
            model = create_model(V1, output_stride=output_stride, **options)
            assert tuple(branch.conv.dilation[0] for branch in model.head.aspp.branches[1:]) == rates

    def test_the_auxiliary_head_may_go(self) -> None:
        model = create_model(V2).eval()
        model.aux_head = None
        assert model.fuse()(torch.rand(1, 3, 64, 64)).keys() == {"out"}
        assert create_model(V2, aux_head=False).backbone.strides == (16,)

    @pytest.mark.parametrize(
        ("options", "message"),
        [
            ({"num_classes": 0}, "num_classes must be at least 1, got 0"),
            ({"output_stride": 4}, r"output_stride must be one of \(8, 16, 32\), got 4"),
            ({"atrous_rates": (1, 2)}, r"atrous_rates must be 3 .* got \(1, 2\)"),
            ({"in_channels": 0}, "in_channels must be a positive integer, got 0"),
        ],
    )
    def test_bad_ones(self, options: dict, message: str) -> None:
        with pytest.raises(ValueError, match=message):
            create_model(V1, **options)


class TestWeights:
    """Files of our own, and names of published ones."""

    def test_backbone_weights_alone(self, tmp_path: Path) -> None:
        classifier = create_model("mobilevit_xxs")
        torch.save(classifier.state_dict(), tmp_path / "w.pt")
        model = create_model("deeplabv3_auto", num_classes=4, weights_backbone=tmp_path / "w.pt")
        assert torch.equal(model.backbone.stem.conv.weight, classifier.backbone.stem.conv.weight)
        with pytest.raises(ValueError, match="are a classification network's, the model does segmentation"):
            create_model(V1, weights=tmp_path / "w.pt")

    def test_another_number_of_classes(self, tmp_path: Path) -> None:
        trained = create_model(V2, num_classes=21)
        torch.save(trained.state_dict(), tmp_path / "w.pt")
        with pytest.raises(ValueError, match="have 21 classes, the model has 4 classes"):
            create_model(V2, num_classes=4, weights=tmp_path / "w.pt")
        model = create_model(V2, num_classes=4, weights=tmp_path / "w.pt", head="skip")
        assert torch.equal(model.head.aspp.project.conv.weight, trained.head.aspp.project.conv.weight)
        assert torch.equal(model.aux_head.project.conv.weight, trained.aux_head.project.conv.weight)
        assert model.aux_head.classifier.weight.shape[0] == model.head.classifier.weight.shape[0] == 4

    def test_a_file_without_the_auxiliary_head(self, tmp_path: Path) -> None:
        torch.save(create_model(V2, aux_head=False).state_dict(), tmp_path / "w.pt")
        with pytest.raises(ValueError, match=r"keys of the model are not in the weights: aux_head\.project\.conv"):
            create_model(V2, weights=tmp_path / "w.pt")
        assert create_model(V2, aux_head=False, weights=tmp_path / "w.pt").aux_head is None


def test_torch_export_keeps_batch_and_size_dynamic(
    difference: Callable[[Tensor, Tensor], float], randomise: Callable[[nn.Module], None]
) -> None:
    model = create_model(V2, num_classes=4).eval()
    randomise(model)
    # From 65 pixels on: PyTorch's convolution asks for more than one row at stride 32 to decide on a memory layout.
    shape = {0: Dim("batch"), 2: Dim("height", min=65), 3: Dim("width", min=65)}
    with torch.no_grad():
        program = torch.export.export(model, (torch.rand(2, 3, 97, 130),), dynamic_shapes={"images": shape}).module()
        for size in [(1, 3, 128, 65), (3, 3, 96, 161)]:
            images = torch.rand(size)
            wanted, found = model(images), program(images)
            assert found.keys() == wanted.keys()
            assert all(difference(found[key], value) < 1e-4 for key, value in wanted.items())


@pytest.mark.parametrize("name", [V1, V2])
def test_onnx_keeps_batch_and_size_dynamic(
    name: str,
    difference: Callable[[Tensor, Tensor], float],
    randomise: Callable[[nn.Module], None],
    tmp_path: Path,
) -> None:
    onnxruntime = pytest.importorskip("onnxruntime")
    model = create_model(name, num_classes=4).eval().fuse()
    randomise(model)
    file, names = tmp_path / "model.onnx", ["out", "aux"] if name == V2 else ["out"]
    axes = {0: "batch", 2: "height", 3: "width"}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the checks of the input's shape are Python, and say so when traced
        torch.onnx.export(
            model,
            (torch.rand(2, 3, 64, 96),),
            file,
            dynamo=False,
            opset_version=17,
            input_names=["images"],
            output_names=names,
            dynamic_axes=dict.fromkeys(("images", *names), axes),
        )
    session = onnxruntime.InferenceSession(file)
    for size in [(1, 3, 128, 65), (3, 3, 33, 48)]:
        images = torch.rand(size)
        with torch.no_grad():
            wanted = model(images)
        found = dict(zip(names, session.run(names, {"images": images.numpy()}), strict=True))
        assert all(difference(torch.from_numpy(found[key]), value) < 1e-4 for key, value in wanted.items())
