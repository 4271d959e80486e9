"""DeepLabV3 as an ultralytics model: the numbers of `mvdet.models.DeepLabV3`, and its life under the stock command."""

import csv
import re
from collections.abc import Callable
from copy import deepcopy
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn
from ultralytics import YOLO
from ultralytics.nn.tasks import SemanticSegmentationModel
from ultralytics.utils import DEFAULT_CFG, YAML
from ultralytics.utils.loss import SemanticSegmentationLoss

from mvdet import create_model, list_backbones
from mvdet.backbones.pyramid import MobileViTBackbone
from mvdet.backbones.variants import VARIANTS
from mvdet.data.shapes.dataset import SEMANTIC_CLASSES, generate_semantic
from mvdet.heads.deeplabv3 import pixel_cross_entropy
from mvdet.models.deeplabv3 import DeepLabV3
from mvdet.yolo import register

register()

REPOSITORY = Path(__file__).parents[2]
FILES = sorted((REPOSITORY / "cfg").glob("deeplabv3*.yaml"))
CLASSES = 5


def definition_of(backbone: str, **options: Any) -> dict[str, Any]:
    strides = [16, 32] if VARIANTS[backbone].version == 2 else [32]
    with torch.device("meta"):
        channels = MobileViTBackbone(VARIANTS[backbone], out_strides=strides).channels
    options = {"out_strides": strides, "output_stride": 16, **options}
    return {
        "nc": CLASSES,
        "backbone": [
            [-1, 1, "MobileViT", [backbone, None, options]],
            *[[0, 1, "Index", [count, index]] for index, count in enumerate(channels)],
        ],
        "head": [[[*range(1, len(channels) + 1)], 1, "DeepLabV3SemanticSegment", ["nc"]]],
        "yaml_file": "deeplabv3.yaml",
    }


def build(definition: dict[str, Any]) -> SemanticSegmentationModel:
    return SemanticSegmentationModel(definition, verbose=False)


def both(
    backbone: str, randomise: Callable[[nn.Module], None], **options: Any
) -> tuple[SemanticSegmentationModel, DeepLabV3]:
    """The same network twice: ultralytics' and ours; without dropout, which is random."""
    ours = create_model(f"deeplabv3_{backbone}", num_classes=CLASSES, **options)
    randomise(ours)
    theirs = build(definition_of(backbone, **options))
    theirs.model[0].backbone.load_state_dict(ours.backbone.state_dict())
    theirs.model[-1].head.load_state_dict(ours.head.state_dict())
    if ours.aux_head is not None:
        theirs.model[-1].auxiliary.load_state_dict(ours.aux_head.state_dict())
    for network in (theirs, ours):
        for module in network.modules():
            if isinstance(module, nn.Dropout2d):
                module.p = 0.0
    return theirs, ours


@pytest.mark.parametrize("file", FILES, ids=lambda f: f.stem)
def test_cfg(file: Path) -> None:
    network = YOLO(file)
    backbone = YAML.load(file)["backbone"][0][3][0]
    assert file.read_text().split()[3] == backbone
    wanted = create_model(f"deeplabv3_{backbone}", num_classes=21)
    assert network.task == "semantic"
    assert network.model.stride.tolist() == [32]
    assert sum(p.numel() for p in network.model.parameters()) == sum(p.numel() for p in wanted.parameters())


def test_cfg_is_complete() -> None:
    assert {file.stem for file in FILES} == {f"deeplabv3-mobilevit{v}" for v in ("", "-xs", "-xxs", "v2")}


@pytest.mark.parametrize("backbone", list_backbones())
def test_any_variant_fits(backbone: str) -> None:
    with torch.device("meta"):
        wanted = create_model(f"deeplabv3_{backbone}", num_classes=CLASSES)
        model = build(definition_of(backbone))
    assert sum(p.numel() for p in model.parameters()) == sum(p.numel() for p in wanted.parameters())
    assert (model.model[-1].auxiliary is None) == (wanted.aux_head is None)


@pytest.mark.parametrize("output_stride", [8, 16, 32])
@pytest.mark.parametrize("backbone", ["mobilevit_xxs", "mobilevitv2_050"])
def test_logits_are_ours(backbone: str, output_stride: int, randomise: Callable[[nn.Module], None]) -> None:
    theirs, ours = (network.eval() for network in both(backbone, randomise, output_stride=output_stride))
    stride = int(theirs.stride.item())
    assert stride == 2 * output_stride
    for height, width in ((stride, 3 * stride), (96 // stride * stride, 64)):
        images = torch.rand(2, 3, height or stride, width)
        with torch.no_grad():
            assert torch.equal(theirs(images), ours(images)["out"])


@pytest.mark.parametrize("backbone", ["mobilevit_xxs", "mobilevitv2_050"])
def test_loss_is_ours(backbone: str, randomise: Callable[[nn.Module], None]) -> None:
    theirs, ours = (network.train() for network in both(backbone, randomise))
    images = torch.rand(3, 3, 64, 96)
    masks = torch.randint(0, CLASSES, (3, 64, 96))
    masks[0, :20] = 255
    masks[1] = 255
    logits = ours(images)
    wanted = {"ce_loss": pixel_cross_entropy(logits["out"], masks)}
    if "aux" in logits:
        wanted["aux_loss"] = 0.4 * pixel_cross_entropy(logits["aux"], masks)
    batch = {"img": images, "semantic_mask": masks.int()}
    loss, items = theirs(batch)
    assert list(items) == list(wanted)
    for name, value in wanted.items():
        assert items[name].item() == pytest.approx(value.item(), rel=1e-6)
    assert loss.item() == pytest.approx(3 * sum(value.item() for value in wanted.values()), rel=1e-6)
    loss.backward()
    assert all(p.grad is not None for p in theirs.model[-1].parameters())

    theirs.eval(), ours.eval()
    with torch.no_grad(), torch.autocast("cpu", torch.bfloat16):
        _, items = theirs.loss(batch, theirs(images))
        value = pixel_cross_entropy(ours(images)["out"], masks)
    assert list(items) == list(wanted)
    assert items["ce_loss"].item() == pytest.approx(value.item(), rel=1e-6)
    assert items.get("aux_loss", 0) == 0


def test_a_batch_where_no_pixel_counts() -> None:
    model = build(definition_of("mobilevitv2_050")).train()
    loss, items = model({"img": torch.rand(2, 3, 64, 64), "semantic_mask": torch.full((2, 64, 64), 255)})
    loss.backward()
    assert all(value == 0 for value in items.values())
    assert all(p.grad is None or p.grad.isfinite().all() for p in model.parameters())


def test_fuse() -> None:
    model = build(definition_of("mobilevitv2_050")).eval()
    images = torch.rand(1, 3, 64, 96)
    with torch.no_grad():
        wanted = model(images)
        actual = model.fuse(verbose=False)(images)
    assert not any(isinstance(m, nn.BatchNorm2d) for m in model.modules())
    assert (actual - wanted).abs().max() < 1e-4 * wanted.abs().max()


def test_exported_logits_and_classes() -> None:
    model = build(definition_of("mobilevit_xxs")).eval()
    images = torch.rand(2, 3, 64, 32)
    head = model.model[-1]
    with torch.no_grad():
        logits = model(images)
        head.export, head.format = True, "torchscript"
        assert torch.equal(model(images), logits)
        head.format = "onnx"
        classes = model(images)
        head.nc, head.format, head.bake_argmax = 300, "engine", True
        assert model(images).dtype == torch.int32
    assert classes.dtype == torch.uint8
    assert torch.equal(classes.long(), logits.argmax(dim=1))


def test_a_batch_that_cannot_be_normalised() -> None:
    model = build(definition_of("mobilevit_xxs")).train()
    with pytest.raises(ValueError, match=r"one image cannot be normalised.*choose a batch size of 2 at least"):
        model(torch.rand(1, 3, 64, 64))
    model.model[-1].head.aspp.image_pool.eval()
    with pytest.raises(ValueError, match=r"drop_last"):  # the head's own, were ours wrong
        deepcopy(model.model[-1].head).train()(torch.rand(1, 80, 4, 4))


def test_settings_and_stock_models() -> None:
    model = build(definition_of("mobilevit_xxs"))
    model.class_weights = torch.ones(CLASSES)
    with pytest.raises(ValueError, match="no class weights: cls_pw must be 0"):
        model.init_criterion()
    with pytest.raises(ValueError, match="2 classes at least, got nc 1: the background is a class of its own"):
        SemanticSegmentationModel(definition_of("mobilevit_xxs"), nc=1, verbose=False)
    stock = SemanticSegmentationModel("yolo26n-sem.yaml", verbose=False)
    stock.args = DEFAULT_CFG
    assert type(stock.init_criterion()) is SemanticSegmentationLoss


READS = (
    "must read an Index row of stride 32 (without dilation), or two of one MobileViT row, of strides 16 and 32, got "
)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {1: [0, 1, "Index", [96, 0]]},
            "row 1 [0, 1, Index, [96, 0]]: 96 channels, but map 0 of mobilevitv2_050 has 192",
        ),
        ({3: [[1, 2], 1, "DeepLabV3SemanticSegment", [21]]}, "arguments must be [nc], got [21]"),
        ({3: [[1, 2], 2, "DeepLabV3SemanticSegment", ["nc"]]}, "a head cannot be repeated, repeats must be 1, got 2"),
        ({3: [[2, 1], 1, "DeepLabV3SemanticSegment", ["nc"]]}, f"{READS}stride 32, stride 16"),
        ({3: [1, 1, "DeepLabV3SemanticSegment", ["nc"]]}, f"{READS}stride 16"),
        ({2: [-1, 1, "Conv", [80, 3, 1]]}, f"{READS}stride 16, another row"),
        ({3: [0, 1, "DeepLabV3SemanticSegment", ["nc"]]}, "reads a MobileViT row, whose output is a list"),
    ],
)
def test_mistakes_name_the_row(changes: dict[int, list[Any]], message: str) -> None:
    definition = definition_of("mobilevitv2_050")
    for index, row in changes.items():
        part, place = ("head", 0) if index == 3 else ("backbone", index)
        definition[part][place] = row
    with pytest.raises(ValueError, match=r"^deeplabv3\.yaml: row \d ") as error:
        build(definition)
    assert message in str(error.value)
    assert "\n" not in str(error.value)


def test_one_source_may_be_a_number() -> None:
    definition = definition_of("mobilevitv2_050")
    definition["head"][0][0] = -1
    assert build(definition).model[-1].auxiliary is None


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("deeplabv3")


@pytest.fixture(scope="module")
def data(folder: Path) -> Path:
    generate_semantic(folder / "shapes", num_train=8, num_val=4)
    text = (REPOSITORY / "cfg" / "datasets" / "shapes-semantic.yaml").read_text()
    (folder / "shapes.yaml").write_text(re.sub(r"(?m)^path:.*$", f"path: {folder / 'shapes'}", text))
    return folder / "shapes.yaml"


@pytest.fixture(scope="module")
def best(folder: Path, data: Path, yolo) -> Path:
    """A checkpoint, trained for one epoch by the `yolo` command."""
    model = folder / "deeplabv3-mobilevitv2.yaml"
    text = (REPOSITORY / "cfg" / model.name).read_text()
    for old, new in (("mobilevitv2_100", "mobilevitv2_050"), ("[384,", "[192,"), ("[512,", "[256,")):
        text = text.replace(old, new)
    model.write_text(text)
    options = ["epochs=1", "imgsz=64", "batch=4", "workers=0", f"project={folder / 'runs'}", "name=train"]
    yolo("semantic", "train", f"model={model}", f"data={data}", *options, cwd=folder)
    return folder / "runs" / "train" / "weights" / "best.pt"


@pytest.mark.slow
def test_train(best: Path) -> None:
    with (best.parents[1] / "results.csv").open() as file:
        (row,) = csv.DictReader(file)
    losses = {key: float(value) for key, value in row.items() if "loss" in key}
    assert list(losses) == ["train/ce_loss", "train/aux_loss", "val/ce_loss", "val/aux_loss"]
    assert losses.pop("val/aux_loss") == 0
    assert all(0 < value < 100 for value in losses.values())
    assert 0 <= float(row["metrics/mIoU"]) <= 1


@pytest.mark.slow
def test_val_predict_and_export_in_restricted_mode(best: Path, data: Path, folder: Path, python) -> None:
    code = f"""
import torch
from ultralytics import YOLO
from ultralytics.utils import ASSETS
network = YOLO(r"{best}")
assert network.task == "semantic" and type(network.model.model[-1]).__name__ == "DeepLabV3SemanticSegment"
assert network.names == dict(enumerate({SEMANTIC_CLASSES!r})), network.names
options = dict(imgsz=64, verbose=False, project=r"{folder / "runs"}")
network.add_callback("on_val_end", lambda validator: print("seen", validator.seen))
network.val(data=r"{data}", batch=3, workers=0, plots=False, **options)
(found,) = network.predict(ASSETS / "bus.jpg", **options)
assert found.semantic_mask.data.shape[-2:] == found.orig_shape, found.semantic_mask.data.shape
images = torch.rand(2, 3, 96, 64)
with torch.no_grad():
    torch.save((images, YOLO(r"{best}").model.eval()(images)), "case.pt")
file = YOLO(r"{best}").export(format="onnx", imgsz=64)
(exported,) = YOLO(file, task="semantic").predict(ASSETS / "bus.jpg", **options | dict(rect=False))
(square,) = YOLO(r"{best}").predict(ASSETS / "bus.jpg", **options | dict(rect=False))
same = (exported.semantic_mask.data == square.semantic_mask.data).float().mean()
assert same > 0.9, same  # classes are enlarged without interpolation
YOLO(r"{best}").export(format="onnx", imgsz=64, dynamic=True)
"""
    result = python("-c", code, cwd=folder, ULTRALYTICS_SAFE_LOAD="1")
    assert result.returncode == 0, result.stdout[-2000:] + result.stderr[-3000:]
    assert "seen 4" in result.stdout
    import onnxruntime

    session = onnxruntime.InferenceSession(best.with_suffix(".onnx"), providers=["CPUExecutionProvider"])
    images, wanted = torch.load(folder / "case.pt")
    (actual,) = session.run(None, {"images": images.numpy()})
    assert actual.dtype == np.uint8
    assert actual.shape == (2, 96, 64)
    assert np.mean(actual == wanted.argmax(dim=1).numpy()) > 0.999


@pytest.mark.slow
def test_fine_tuning_takes_the_weights(best: Path) -> None:
    trained = YOLO(best).model
    model = build(definition_of("mobilevitv2_050"))
    model.load(trained)
    fresh = {key for key, value in model.state_dict().items() if value.shape != trained.state_dict()[key].shape}
    assert fresh == {f"model.3.{head}.classifier.{p}" for head in ("head", "auxiliary") for p in ("weight", "bias")}
    for key, value in model.state_dict().items():
        assert key in fresh or torch.equal(value, trained.state_dict()[key])
