"""SSDLite as an ultralytics model: the numbers of `mvdet.models.SSDLite`, and its life under the stock command."""

import csv
import re
from collections.abc import Callable
from copy import deepcopy
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torchvision.ops import box_convert
from ultralytics import YOLO
from ultralytics.nn.tasks import DetectionModel
from ultralytics.utils import DEFAULT_CFG, YAML
from ultralytics.utils.loss import v8DetectionLoss
from ultralytics.utils.nms import non_max_suppression

from mvdet import create_model, list_backbones
from mvdet.backbones.pyramid import MobileViTBackbone
from mvdet.backbones.variants import VARIANTS
from mvdet.data.shapes.dataset import generate
from mvdet.detection import postprocess_detections
from mvdet.models.ssdlite import SSDLite
from mvdet.yolo import losses, register, ssdlite
from mvdet.yolo.ssdlite import SCORE_THRESHOLD

register()

REPOSITORY = Path(__file__).parents[2]
FILES = sorted((REPOSITORY / "cfg").glob("ssdlite*.yaml"))
CLASSES = 5


def definition_of(backbone: str, **options: Any) -> dict[str, Any]:
    with torch.device("meta"):
        channels = MobileViTBackbone(VARIANTS[backbone], out_strides=(16, 32)).channels
    return {
        "nc": CLASSES,
        "backbone": [
            [-1, 1, "MobileViT", [backbone, None, {"out_strides": [16, 32], **options}]],
            [0, 1, "Index", [channels[0], 0]],
            [0, 1, "Index", [channels[1], 1]],
        ],
        "head": [[[1, 2], 1, "SSDLiteDetect", ["nc"]]],
        "yaml_file": "ssdlite.yaml",
    }


def both(backbone: str, randomise: Callable[[nn.Module], None], **options: Any) -> tuple[DetectionModel, SSDLite]:
    """The same network twice: ultralytics' and ours."""
    ours = create_model(f"ssdlite_{backbone}", num_classes=CLASSES + 1, **options)
    randomise(ours)
    theirs = DetectionModel(definition_of(backbone, **options), verbose=False)
    theirs.model[0].backbone.load_state_dict(ours.backbone.state_dict())
    theirs.model[3].head.load_state_dict(ours.head.state_dict())
    return theirs, ours


def batch_of(images: Tensor, targets: list[list[tuple[float, ...]]]) -> dict[str, Tensor]:
    """ultralytics' batch of images and, for each, (class, cx, cy, w, h)."""
    rows = [(index, *target) for index, image in enumerate(targets) for target in image]
    table = torch.tensor(rows, dtype=torch.float32).view(-1, 6)
    return {"img": images, "batch_idx": table[:, 0], "cls": table[:, 1:2], "bboxes": table[:, 2:]}


@pytest.mark.parametrize("file", FILES, ids=lambda f: f.stem)
def test_cfg(file: Path) -> None:
    network = YOLO(file)
    backbone = YAML.load(file)["backbone"][0][3][0]
    assert file.read_text().split()[3] == backbone
    wanted = create_model(f"ssdlite_{backbone}", num_classes=81)
    assert network.task == "detect"
    assert network.model.stride.tolist() == [16, 32]
    assert sum(p.numel() for p in network.model.parameters()) == sum(p.numel() for p in wanted.parameters())


def test_cfg_is_complete() -> None:
    assert {file.stem for file in FILES} == {f"ssdlite-mobilevit{v}" for v in ("", "-xs", "-xxs", "v2")}


@pytest.mark.parametrize("backbone", list_backbones())
def test_any_variant_fits(backbone: str) -> None:
    wanted = create_model(f"ssdlite_{backbone}", num_classes=CLASSES + 1)
    model = DetectionModel(definition_of(backbone), verbose=False)
    assert sum(p.numel() for p in model.parameters()) == sum(p.numel() for p in wanted.parameters())


@pytest.mark.parametrize("size", [(320, 320), (96, 160), (32, 224)])
@pytest.mark.parametrize("backbone", ["mobilevit_xxs", "mobilevitv2_050"])
def test_outputs_are_ours(backbone: str, size: tuple[int, int], randomise: Callable[[nn.Module], None]) -> None:
    theirs, ours = (network.eval() for network in both(backbone, randomise))
    images = torch.rand(2, 3, *size)
    with torch.no_grad():
        outputs = ours.head_outputs(images)
        detections, raw = theirs(images)
    scale = torch.tensor([size[1], size[0]] * 2)
    wanted = ours.box_coder.decode(outputs["bbox_regression"], ours.anchors(*size))
    boxes = box_convert(detections.transpose(1, 2)[..., :4], "cxcywh", "xyxy") / scale
    scores = outputs["cls_logits"].softmax(-1)[..., 1:]
    scores = scores * (scores > SCORE_THRESHOLD)
    assert detections.shape == (2, 4 + CLASSES, wanted.shape[1])
    assert (boxes - wanted).abs().max() < 1e-5
    assert (detections.transpose(1, 2)[..., 4:] - scores).abs().max() < 1e-5
    assert raw["scores"].shape == (2, CLASSES, wanted.shape[1])


def test_dilated_outputs_are_ours(randomise: Callable[[nn.Module], None]) -> None:
    theirs, ours = (network.eval() for network in both("mobilevit_xxs", randomise, output_stride=16))
    images = torch.rand(1, 3, 128, 192)
    with torch.no_grad():
        wanted = ours.box_coder.decode(ours.head_outputs(images)["bbox_regression"], ours.anchors(128, 192))
        boxes = box_convert(theirs(images)[0].transpose(1, 2)[..., :4], "cxcywh", "xyxy")
    assert theirs.stride.tolist() == [16, 16]
    assert (boxes / torch.tensor([192, 128, 192, 128]) - wanted).abs().max() < 1e-5


def test_the_threshold_is_that_of_our_own_evaluation() -> None:
    model, own = DetectionModel(definition_of("mobilevit_xxs"), verbose=False), create_model("ssdlite_mobilevit_xxs")
    assert own.score_threshold == SCORE_THRESHOLD
    model.model[-1].head.predictors[0].pointwise.bias.data.view(6, -1)[:, 4] = 10  # background: all but certain
    scores = model.eval()(torch.rand(1, 3, 64, 64))[0][0, 4:]
    assert not scores[:, : 4 * 4 * 6].any()
    assert scores[:, 4 * 4 * 6 :].all()


def test_detections_are_ours(randomise: Callable[[nn.Module], None]) -> None:
    """ultralytics' NMS on its network, our own on ours, with the same settings: the same boxes, classes, scores."""
    theirs, ours = (network.eval() for network in both("mobilevit_xxs", randomise))
    images = torch.rand(2, 3, 160, 128)
    with torch.no_grad():
        found = non_max_suppression(theirs(images), 0.05, 0.6, multi_label=True, max_det=100)
        wanted = postprocess_detections(
            ours.head_outputs(images),
            ours.anchors(160, 128),
            [(160, 128)] * 2,
            score_threshold=0.05,
            nms_threshold=0.6,
            candidates_per_class=10_000,
            detections_per_image=100,
        )
    for actual, image in zip(found, wanted, strict=True):
        assert len(actual) == len(image["boxes"]) > 10
        boxes = torch.minimum(actual[:, :4].clamp(min=0), torch.tensor([128.0, 160, 128, 160]))
        mine = torch.cat([boxes, actual[:, 4:5] * 100, actual[:, 5:] * 1000], dim=1)
        other = torch.stack([image["scores"] * 100, (image["labels"] - 1) * 1000], dim=1)
        wanted_rows = torch.cat([image["boxes"], other], dim=1)
        distance, match = (mine[:, None] - wanted_rows).abs().amax(dim=2).min(dim=1)
        assert distance.max() < 1e-2
        assert len(match.unique()) == len(match)  # in any order: scores of a random network are nearly tied


def test_fuse_and_half_precision(randomise: Callable[[nn.Module], None]) -> None:
    model, _ = both("mobilevit_xxs", randomise)
    theirs = deepcopy(model.state_dict())
    images = torch.rand(1, 3, 64, 96)
    with torch.no_grad():
        wanted, raw = model.eval()(images)
        halved, halved_raw = deepcopy(model).half().float()(images)  # as a checkpoint is saved and loaded
        assert torch.equal(model.to(torch.bfloat16).float()(images)[1]["anchors"], raw["anchors"])
        model.load_state_dict(theirs)
        actual = model.fuse(verbose=False)(images)[0]
    assert not any(isinstance(m, nn.BatchNorm2d) for m in model.modules())
    assert (actual - wanted).abs().max() < 1e-4 * wanted.abs().max()
    assert (halved - wanted).abs().max() < 1e-2 * wanted.abs().max()
    assert torch.equal(halved_raw["anchors"], raw["anchors"])


def test_anchors_follow_the_size_and_stay_out_of_the_state() -> None:
    model = DetectionModel(definition_of("mobilevit_xxs"), verbose=False).eval()
    head = model.model[-1]
    keys = model.state_dict().keys()
    with torch.inference_mode():
        first = model(torch.rand(1, 3, 64, 64))[0]
        kept = head._anchors
        assert model(torch.rand(1, 3, 64, 64))[0].shape == first.shape
        assert head._anchors is kept
        assert model(torch.rand(1, 3, 64, 96))[0].shape[-1] > first.shape[-1]
        model(torch.rand(1, 3, 64, 64))
    assert model.state_dict().keys() == keys
    assert not any("anchor" in key for key in keys)
    model.train()(batch_of(torch.rand(2, 3, 64, 64), [[(0, 0.5, 0.5, 0.4, 0.4)], []]))[0].sum().backward()


TARGETS = [[(0, 0.5, 0.5, 0.4, 0.4), (4, 0.3, 0.7, 0.3, 0.2)], [], [(2, 0.6, 0.4, 0.8, 0.7)]]


def test_loss_is_ours(randomise: Callable[[nn.Module], None]) -> None:
    theirs, ours = (network.train() for network in both("mobilevit_xxs", randomise))
    images = torch.rand(3, 3, 96, 128)
    targets = []
    for image in TARGETS:
        table = torch.tensor(image).view(-1, 5)
        boxes = box_convert(table[:, 1:], "cxcywh", "xyxy") * torch.tensor([128, 96, 128, 96])
        targets.append({"boxes": boxes, "labels": table[:, 0].long() + 1})
    wanted = ours(images, targets)
    flat = [TARGETS[0], [(1, 0.5, 0.5, 0.0, 0.3), (1, 1.0, 0.5, 1e-9, 0.3)], TARGETS[2]]  # what augmentation may leave
    for batch in batch_of(images, TARGETS), batch_of(images, flat):
        loss, items = theirs(batch)
        assert list(items) == ["box_loss", "cls_loss"]
        assert items["box_loss"].item() == pytest.approx(wanted["bbox_regression"].item(), rel=1e-5)
        assert items["cls_loss"].item() == pytest.approx(wanted["classification"].item(), rel=1e-5)
        assert torch.equal(loss.detach(), torch.stack(list(items.values())) * 3)
    order = torch.tensor([2, 0, 1])
    shuffled = {k: v if k == "img" else v[order] for k, v in batch_of(images, TARGETS).items()}
    assert theirs(shuffled)[0].sum().item() == pytest.approx(loss.sum().item(), rel=1e-5)


def test_loss_in_evaluation_and_under_autocast() -> None:
    model = DetectionModel(definition_of("mobilevit_xxs"), verbose=False).eval()
    batch = batch_of(torch.rand(3, 3, 64, 64), TARGETS)
    with torch.no_grad():
        wanted = model.loss(batch, model(batch["img"]))[0]
        with torch.autocast("cpu", torch.bfloat16):
            actual = model.loss(batch)[0]
    assert actual.dtype == torch.float32
    assert (actual - wanted).abs().max() < 0.02 * wanted.abs().max()


def test_a_batch_without_objects() -> None:
    model = DetectionModel(definition_of("mobilevit_xxs"), verbose=False).train()
    loss, items = model(batch_of(torch.rand(2, 3, 64, 64), [[], []]))
    loss.sum().backward()
    assert all(value == 0 for value in items.values())
    assert all(p.grad is None or p.grad.isfinite().all() for p in model.parameters())


def test_a_batch_that_cannot_be_normalised() -> None:
    model = DetectionModel(definition_of("mobilevit_xxs"), verbose=False).train()
    with pytest.raises(ValueError, match=r"one image with a deepest map of 8 x 8 cannot .* or an imgsz above 256"):
        model(torch.rand(1, 3, 256, 256))
    model(torch.rand(1, 3, 288, 64))
    model(torch.rand(2, 3, 64, 64))


def test_nothing_is_made_while_a_graph_is_recorded() -> None:
    """Anchor shapes made under `torch.export` would be its symbols, for ever."""
    with torch.device("meta"):
        DetectionModel(definition_of("mobilevit_xxs"), verbose=False)
    model = DetectionModel(definition_of("mobilevit_xxs"), verbose=False).eval()
    ssdlite._parts.cache_clear()
    copied = deepcopy(model)  # as loading does
    assert ssdlite._parts.cache_info().currsize == 1
    copied.model[-1].export = True
    images = torch.rand(1, 3, 64, 64)
    with torch.no_grad():
        graph = torch.export.export(copied, (images,)).module()
        assert (graph(images) - model(images)[0]).abs().max() < 1e-3


def test_settings_without_effect_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    messages: list[str] = []
    monkeypatch.setattr(losses, "LOGGER", SimpleNamespace(warning=messages.append))
    model = DetectionModel(definition_of("mobilevit_xxs"), verbose=False)
    model.args = deepcopy(DEFAULT_CFG)
    model.init_criterion()
    assert not messages
    model.args.box = 5.0
    model.init_criterion()
    assert messages == ["SSDLite's loss has no gains: box have no effect"]
    model.class_weights = torch.ones(CLASSES)
    with pytest.raises(ValueError, match="no class weights: cls_pw must be 0"):
        model.init_criterion()


def test_a_stock_model_keeps_its_loss() -> None:
    model = DetectionModel("yolov5n.yaml", verbose=False)
    model.args = DEFAULT_CFG
    assert type(model.init_criterion()) is v8DetectionLoss


READS = "must read two Index rows of one MobileViT row, of strides 16 and 32, got "


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({1: [0, 1, "Index", [96, 0]]}, "row 1 [0, 1, Index, [96, 0]]: 96 channels, but map 0 of mobilevit_xxs has 64"),
        ({3: [[1, 2], 1, "SSDLiteDetect", []]}, "arguments must be [nc], got []"),
        ({3: [[1, 2], 1, "SSDLiteDetect", [80]]}, "arguments must be [nc], got [80]"),
        ({3: [[1, 2], 2, "SSDLiteDetect", ["nc"]]}, "a head cannot be repeated, repeats must be 1, got 2"),
        ({3: [[2, 1], 1, "SSDLiteDetect", ["nc"]]}, f"{READS}stride 32, stride 16"),
        ({3: [[1], 1, "SSDLiteDetect", ["nc"]]}, f"{READS}stride 16"),
        ({3: [2, 1, "SSDLiteDetect", ["nc"]]}, f"{READS}stride 32"),
        ({2: [-1, 1, "Conv", [80, 3, 2]]}, f"{READS}stride 16, another row"),
        ({3: [0, 1, "SSDLiteDetect", ["nc"]]}, "reads a MobileViT row, whose output is a list"),
        ({0: [-1, 1, "Conv", [64, 3, 2]]}, f"{READS}another row, another row"),
    ],
)
def test_mistakes_name_the_row(changes: dict[int, list[Any]], message: str) -> None:
    definition = definition_of("mobilevit_xxs")
    for index, row in changes.items():
        part, place = ("head", 0) if index == 3 else ("backbone", index)
        definition[part][place] = row
    with pytest.raises(ValueError, match=r"^ssdlite\.yaml: row \d ") as error:
        DetectionModel(definition, verbose=False)
    assert message in str(error.value)
    assert "\n" not in str(error.value)


def test_the_head_must_be_last() -> None:
    definition = definition_of("mobilevit_xxs")
    definition["head"].append([1, 1, "Conv", [64, 1, 1]])
    with pytest.raises(ValueError, match=r"row 3 .*: a head must be the last row"):
        DetectionModel(definition, verbose=False)


def test_refused_formats() -> None:
    model = DetectionModel(definition_of("mobilevit_xxs"), verbose=False).eval()
    model.model[-1].export, model.model[-1].format = True, "imx"
    with pytest.raises(ValueError, match="SSDLite cannot be exported to imx"):
        model(torch.rand(1, 3, 64, 64))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("ssdlite")


@pytest.fixture(scope="module")
def data(folder: Path) -> Path:
    generate(folder / "shapes", num_train=8, num_val=4)
    text = (REPOSITORY / "cfg" / "datasets" / "shapes.yaml").read_text()
    (folder / "shapes.yaml").write_text(re.sub(r"(?m)^path:.*$", f"path: {folder / 'shapes'}", text))
    return folder / "shapes.yaml"


@pytest.fixture(scope="module")
def best(folder: Path, data: Path, yolo) -> Path:
    """A checkpoint, trained for one epoch by the `yolo` command."""
    model = REPOSITORY / "cfg" / "ssdlite-mobilevit-xxs.yaml"
    options = ["epochs=1", "imgsz=64", "batch=4", "workers=0", f"project={folder / 'runs'}", "name=train"]
    yolo("train", f"model={model}", f"data={data}", *options, cwd=folder)
    return folder / "runs" / "train" / "weights" / "best.pt"


@pytest.mark.slow
def test_train(best: Path) -> None:
    with (best.parents[1] / "results.csv").open() as file:
        (row,) = csv.DictReader(file)
    losses = {key: float(value) for key, value in row.items() if "loss" in key}
    assert list(losses) == ["train/box_loss", "train/cls_loss", "val/box_loss", "val/cls_loss"]
    assert all(0 < value < 100 for value in losses.values())
    assert (best.parents[1] / "results.png").is_file()


@pytest.mark.slow
def test_val_predict_track_and_export_in_restricted_mode(best: Path, data: Path, folder: Path, python) -> None:
    code = f"""
import torch
from ultralytics import YOLO
from ultralytics.utils import ASSETS
network = YOLO(r"{best}")
assert network.task == "detect" and type(network.model.model[-1]).__name__ == "SSDLiteDetect", network.model
options = dict(imgsz=64, conf=0.001, verbose=False, project=r"{folder / "runs"}")
network.add_callback("on_val_end", lambda validator: print("seen", validator.seen))
network.val(data=r"{data}", batch=3, workers=0, plots=False, **options)
(found,) = network.predict(ASSETS / "bus.jpg", **options)
assert 0 < len(found.boxes) <= 300 and found.boxes.xyxy.min() >= 0 and found.boxes.conf.max() <= 1
assert not len(network.predict(ASSETS / "bus.jpg", **options | dict(conf=0.999))[0].boxes)
network.track(ASSETS / "bus.jpg", **options)
images = torch.rand(2, 3, 96, 64)
with torch.no_grad():
    torch.save((images, YOLO(r"{best}").model.eval()(images)[0]), "case.pt")
file = YOLO(r"{best}").export(format="onnx", imgsz=64, dynamic=True)
(exported,) = YOLO(file).predict(ASSETS / "bus.jpg", **options)
assert len(exported.boxes) == len(found.boxes)
assert (exported.boxes.conf - found.boxes.conf).abs().max() < 1e-4
"""
    result = python("-c", code, cwd=folder, ULTRALYTICS_SAFE_LOAD="1")
    assert result.returncode == 0, result.stdout[-2000:] + result.stderr[-3000:]
    assert "seen 4" in result.stdout
    import onnxruntime

    session = onnxruntime.InferenceSession(best.with_suffix(".onnx"), providers=["CPUExecutionProvider"])
    images, wanted = torch.load(folder / "case.pt")
    (actual,) = session.run(None, {"images": images.numpy()})
    assert np.abs(actual - wanted.numpy()).max() < 1e-4 * wanted.abs().max()


@pytest.mark.slow
def test_fine_tuning_takes_the_weights(best: Path) -> None:
    trained = YOLO(best).model
    model = DetectionModel(definition_of("mobilevit_xxs"), nc=3, verbose=False)
    model.load(trained)
    fresh = {key for key, value in model.state_dict().items() if value.shape != trained.state_dict()[key].shape}
    assert fresh == {f"model.3.head.predictors.{i}{p}" for i in range(6) for p in predictor_keys(i)}
    for key, value in model.state_dict().items():
        assert key in fresh or torch.equal(value, trained.state_dict()[key])


def predictor_keys(level: int) -> list[str]:
    return [f"{'' if level == 5 else '.pointwise'}.{name}" for name in ("weight", "bias")]
