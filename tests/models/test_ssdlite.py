"""SSDLite: agreement with Apple's outputs, and torchvision's detection contract."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from mvdet import create_model, list_backbones
from mvdet.checkpoints import convert_state_dict, export_state_dict
from mvdet.detection import postprocess_detections

CASES = ["mobilevit_s", "mobilevitv2_100"]
PARAMETERS = {  # with 81 classes; the design's
    "mobilevit_xxs": 1_755_050,
    "mobilevit_xs": 2_742_042,
    "mobilevit_s": 5_738_826,
    "mobilevitv2_050": 2_035_395,
    "mobilevitv2_100": 5_608_883,
}
NAME = "ssdlite_mobilevit_xxs"


def target(*boxes: tuple[float, float, float, float]) -> dict[str, Tensor]:
    return {"boxes": torch.tensor(boxes).reshape(-1, 4), "labels": torch.arange(1, len(boxes) + 1)}


@pytest.mark.parametrize("fused", [False, True])
@pytest.mark.parametrize("name", CASES)
def test_apples_outputs(
    name: str, fused: bool, reference: Callable, difference: Callable[[Tensor, Tensor], float]
) -> None:
    case = reference(f"ssdlite_{name}")
    model = create_model(f"ssdlite_{name}").eval()
    model.load_state_dict(convert_state_dict(case.state_dict, to=model, bgr=False))
    if fused:
        model.fuse()
    height, width = case.images.shape[-2:]
    anchors = model.anchors(height, width)
    assert difference(anchors[None], case.outputs["anchors_cxcywh"]) < 1e-6
    with torch.no_grad():
        outputs = model.head_outputs(case.images)
        assert difference(outputs["cls_logits"], case.outputs["scores"]) < 1e-4
        assert difference(outputs["bbox_regression"], case.outputs["boxes"]) < 1e-4
        decoded = model.box_coder.decode(outputs["bbox_regression"], anchors)
        assert difference(decoded, case.outputs["decoded_xyxy"]) < 1e-4
        (found,) = postprocess_detections(outputs, anchors, [(1, 1)])
        (in_pixels,) = model(case.images)
    labels, scores = case.outputs["det0_labels"].long(), case.outputs["det0_scores"]  # background at 0, as here
    # Two scores of mobilevitv2_100 are 3e-7 apart, closer than rounding: in double precision they change places.
    apart = torch.nn.functional.pad(scores.diff().abs() > 1e-6, (1, 1), value=True)
    certain = apart[1:] & apart[:-1]
    assert certain.sum() >= 198
    for detections, size in ((found, 1), (in_pixels, torch.tensor([width, height, width, height]))):
        assert torch.equal(detections["labels"][certain], labels[certain])
        assert torch.equal(detections["labels"].sort()[0], labels.sort()[0])
        torch.testing.assert_close(detections["scores"], scores, rtol=0, atol=1e-4)
        wanted = case.outputs["det0_boxes"].clamp(0, 1) * size
        torch.testing.assert_close(detections["boxes"][certain], wanted[certain], rtol=1e-4, atol=1e-3)


@pytest.mark.parametrize("name", CASES)
def test_post_processing_of_apples_own_raw_outputs(name: str, reference: Callable) -> None:
    case = reference(f"ssdlite_{name}")
    outputs = {"cls_logits": case.outputs["scores"], "bbox_regression": case.outputs["boxes"]}
    (found,) = postprocess_detections(outputs, case.outputs["anchors_cxcywh"][0], [(1, 1)])
    assert torch.equal(found["labels"], case.outputs["det0_labels"].long())
    torch.testing.assert_close(found["scores"], case.outputs["det0_scores"])
    torch.testing.assert_close(found["boxes"], case.outputs["det0_boxes"].clamp(0, 1), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("name", CASES)
def test_weights_go_back_to_apple(name: str, reference: Callable) -> None:
    case = reference(f"ssdlite_{name}")
    model = create_model(f"ssdlite_{name}")
    model.load_state_dict(convert_state_dict(case.state_dict, to=model))
    exported = export_state_dict(model, "cvnets")
    assert exported.keys() == case.state_dict.keys()
    assert all(torch.equal(exported[key], value) for key, value in case.state_dict.items())


@pytest.mark.parametrize("name", list_backbones())
def test_every_variant(name: str) -> None:
    model = create_model(f"ssdlite_{name}")
    assert name not in PARAMETERS or sum(p.numel() for p in model.parameters()) == PARAMETERS[name]
    losses = model(torch.rand(2, 3, 96, 160), [target((1, 1, 50, 50)), target()])
    assert losses.keys() == {"classification", "bbox_regression"}
    sum(losses.values()).backward()
    assert all(p.grad is not None for p in model.parameters())
    with torch.no_grad():
        detections = model.eval()(torch.rand(1, 3, 65, 97))
    assert detections[0].keys() == {"boxes", "labels", "scores"}


@pytest.mark.parametrize("size", [(320, 320), (96, 160), (33, 65), (500, 375), (1, 1)])
def test_as_many_anchors_as_predictions(size: tuple[int, int]) -> None:
    model = create_model(NAME).eval()
    with torch.no_grad():
        assert model.head_outputs(torch.rand(1, 3, *size))["cls_logits"].shape[1] == len(model.anchors(*size))


class TestTorchvisionsContract:
    """What torchvision's own training loop asks of a model."""

    def test_a_list_of_different_sizes(self) -> None:
        model = create_model(NAME, num_classes=4, size=(128, 192)).eval()
        images = [torch.rand(3, 100, 300), torch.rand(3, 256, 128)]
        with torch.no_grad():
            alone, together = [model([image])[0] for image in images], model(images)
        for x, y, image in zip(alone, together, images, strict=True):
            # rounding depends on the batch, and a fresh network's scores are close together: no order of boxes here
            torch.testing.assert_close(x["scores"], y["scores"], rtol=1e-3, atol=1e-5)
            assert (y["boxes"][:, 2] <= image.shape[2]).all()
            assert (y["boxes"][:, 3] <= image.shape[1]).all()

    def test_targets_are_in_the_pixels_of_their_images(self) -> None:
        model = create_model(NAME, num_classes=4, size=(128, 128)).train()
        model.backbone.eval()
        small, large = torch.rand(3, 64, 64), torch.rand(3, 256, 256)
        seen = []
        model.loss.register_forward_pre_hook(lambda module, args: seen.append(args[2]))
        model([small, large], [target((16, 16, 32, 64)), target((64, 64, 128, 256))])
        assert torch.allclose(seen[0][0], seen[0][1])
        assert seen[0][0].tolist() == [[0.25, 0.25, 0.5, 1.0]]

    @pytest.mark.parametrize(
        ("targets", "message"),
        [
            (None, "training needs targets for 1 images, got none"),
            ([], "training needs targets for 1 images, got 0"),
            ([target((5, 5, 5, 9))], r"target 0: box \[5, 5, 5, 9\] \(xyxy\) has no area"),
            ([target((float("nan"), 5, 5, 9))], "target 0: box .* has no area"),
            ([{"boxes": torch.rand(1, 5), "labels": torch.ones(1)}], r"target 0: boxes must be \[n, 4\] and labels"),
            ([{"boxes": torch.tensor([[0, 0, 9, 9]]), "labels": torch.tensor([4])}], r"must be 1 to 3, got \[4\]"),
            ([{"boxes": torch.tensor([[0, 0, 9, 9]]), "labels": torch.tensor([0])}], r"must be 1 to 3, got \[0\]"),
        ],
    )
    def test_bad_targets(self, targets: list | None, message: str) -> None:
        model = create_model(NAME, num_classes=4)
        with pytest.raises(ValueError, match=message):
            model(torch.rand(1, 3, 64, 64), targets)


class TestFreezing:
    """Parts of the backbone that do not train."""

    @pytest.mark.parametrize("option", ["freeze", "freeze_batch_norm"])
    def test_what_is_frozen_stays(self, option: str) -> None:
        model = create_model(NAME, num_classes=4, **{option: True})
        before = {key: value.clone() for key, value in model.backbone.state_dict().items()}
        optimizer = torch.optim.SGD((p for p in model.parameters() if p.requires_grad), lr=0.1)
        sum(model.train()(torch.rand(2, 3, 64, 64), [target((1, 1, 50, 50))] * 2).values()).backward()
        optimizer.step()
        changed = {key for key, value in model.backbone.state_dict().items() if not torch.equal(value, before[key])}
        assert not {key for key in changed if ".norm." in key and "running" in key}
        assert bool(changed) == (option == "freeze_batch_norm")
        assert all(p.grad is not None for p in model.head.parameters())

    def test_transformer_norms_are_no_batch_norms(self) -> None:
        model = create_model(NAME, freeze_batch_norm=True)
        assert model.backbone.stages[2][1].norm.weight.requires_grad
        assert not model.backbone.stem.norm.weight.requires_grad
        assert model.train().head.projections[0].norm.training


def test_options_of_the_backbone() -> None:
    model = create_model(NAME, expand_output=True, output_stride=16, in_channels=1)
    assert model.backbone.channels == (64, 320)
    assert model.backbone.strides == (16, 16)
    with torch.no_grad():
        assert model.eval().head_outputs(torch.rand(1, 1, 64, 96))["cls_logits"].shape[1] == len(model.anchors(64, 96))


def test_backbone_weights_alone(tmp_path) -> None:
    classifier = create_model("mobilevit_xxs")
    torch.save(classifier.state_dict(), tmp_path / "w.pt")
    model = create_model("ssdlite_auto", num_classes=4, weights_backbone=tmp_path / "w.pt")
    assert torch.equal(model.backbone.stem.conv.weight, classifier.backbone.stem.conv.weight)
    with pytest.raises(ValueError, match="are a classification network's, the model does detection; its `backbone`"):
        create_model(NAME, weights=tmp_path / "w.pt")


def test_another_number_of_classes(tmp_path) -> None:
    trained = create_model(NAME, num_classes=81).state_dict()
    torch.save(trained, tmp_path / "w.pt")
    with pytest.raises(ValueError, match="have 81 classes, the model has 4 classes"):
        create_model(NAME, num_classes=4, weights=tmp_path / "w.pt")
    model = create_model(NAME, num_classes=4, weights=tmp_path / "w.pt", head="skip")
    loaded = {key: value for key, value in model.state_dict().items() if value.shape == trained[key].shape}
    assert len(loaded) == len(trained) - 12  # weight and bias of the six predictors
    assert all(torch.equal(value, trained[key]) for key, value in loaded.items())


def test_unknown_options_and_names() -> None:
    with pytest.raises(TypeError, match="unknown option of ssdlite_mobilevit_xxs 'num_clases'; did you mean num_cl"):
        create_model(NAME, num_clases=4)
    with pytest.raises(ValueError, match="unknown model 'ssdlite_mobilevit_m'; did you mean ssdlite_mobilevit_"):
        create_model("ssdlite_mobilevit_m")
