"""Checkpoints of ultralytics on our data sets."""

import json
from pathlib import Path
from typing import Any, ClassVar

import pytest
import torch
from torch import Tensor, nn
from ultralytics import YOLO
from ultralytics.models.yolo.detect import DetectionValidator

from mvdet.checkpoints.torch_files import is_ultralytics_file
from mvdet.data.datasets.coco import CocoDetection, coco_split
from mvdet.data.shapes.dataset import CLASSES, generate
from mvdet.evaluation.metrics.coco import evaluate_coco
from mvdet.yolo import evaluation
from mvdet.yolo.evaluation import load_yolo, run_yolo

MODEL = Path(__file__).parents[2] / "cfg" / "yolov5-mobilevit-xxs.yaml"
NAMES = ("cross", "star", "circle", "triangle", "square")  # not in the data set's order


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return generate(tmp_path_factory.mktemp("data") / "shapes", num_train=1, num_val=3)


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An untrained network, saved by ultralytics, that finds something of each class."""
    network = YOLO(MODEL)
    model = type(network.model)(str(MODEL), nc=len(NAMES), verbose=False)
    model.names = dict(enumerate(NAMES))
    model.args = {"imgsz": 96, "task": "detect", "data": None}
    with torch.no_grad():
        for branch in model.model[-1].cv3:
            last = [layer for layer in branch.modules() if isinstance(layer, nn.Conv2d)][-1]
            last.weight.normal_(std=0.5)
            last.bias.fill_(-3)
    path = tmp_path_factory.mktemp("yolo") / "best.pt"
    torch.save({"model": model, "train_args": {"imgsz": 96, "task": "detect"}}, path)
    return path


def dataset(root: Path) -> CocoDetection:
    return CocoDetection(*coco_split(root, "val"), train=False)


class Watched(DetectionValidator):
    """ultralytics' validator, which shows what it scores: image name, boxes in the stored image, scores, labels."""

    found: ClassVar[dict[str, tuple[Tensor, Tensor, Tensor]]] = {}

    def update_metrics(self, preds: list[dict[str, Tensor]], batch: dict[str, Any]) -> None:
        for pred, file, ((scale_y, scale_x), (left, top)) in zip(
            preds, batch["im_file"], batch["ratio_pad"], strict=True
        ):
            boxes = (pred["bboxes"] - torch.tensor([left, top] * 2)) / torch.tensor([scale_x, scale_y] * 2)
            self.found[Path(file).name] = (boxes, pred["conf"], pred["cls"])
        super().update_metrics(preds, batch)


@pytest.mark.parametrize("batch", [2, 16])
def test_results_are_those_of_yolo_val_by_class_name(
    batch: int, data: Path, checkpoint: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "data.yaml").write_text(
        f"path: {data}\ntrain: images/val\nval: images/val\nnames: {dict(enumerate(NAMES))}\n"
    )
    options = {"imgsz": 96, "batch": batch, "workers": 0, "plots": False, "verbose": False, "project": str(tmp_path)}
    network = YOLO(checkpoint)
    network.val(validator=Watched, data=str(tmp_path / "data.yaml"), **options)
    monkeypatch.setattr(evaluation, "BATCH_SIZE", batch)
    images = dataset(data)
    results = run_yolo(checkpoint, images, size=(96, 96))
    ids = dict(zip(images.class_names, images.category_ids, strict=True))
    for record in images.records:
        boxes, scores, labels = Watched.found[Path(record.file).name]
        mine = [entry for entry in results if entry["image_id"] == record.image_id]
        assert len(mine) == len(boxes) > 0
        assert [entry["category_id"] for entry in mine] == [ids[NAMES[int(label)]] for label in labels]
        assert [entry["score"] for entry in mine] == pytest.approx(scores.tolist(), abs=1e-5)
        found = torch.tensor([entry["bbox"] for entry in mine])
        found[:, 2:] += found[:, :2]
        assert (found - boxes).abs().max() < 1e-2
    assert len({entry["category_id"] for entry in results}) > 1
    assert evaluate_coco(images.ground_truth(), results).detections == len(results)


def test_a_box_may_have_several_classes(data: Path, checkpoint: Path) -> None:
    results = run_yolo(checkpoint, dataset(data), size=(96, 96))
    boxes = [(entry["image_id"], *entry["bbox"]) for entry in results]
    assert len(set(boxes)) < len(boxes)


def test_sizes_that_yolo_val_does_not_know(data: Path, checkpoint: Path) -> None:
    images = dataset(data)
    assert run_yolo(checkpoint, images, size=(64, 96))
    shapes = []
    for records, frame in evaluation._batches(images.records, (64, 96), 32):
        for record in records:
            image, (offset, scale) = evaluation._prepare(record, (64, 96), frame)
            corner = torch.tensor([record.width, record.height]) * scale[:2] + offset[:2]
            shapes.append((*image.shape, *(corner + offset[:2]).tolist()))
    assert all(shape[:3] == (3, 64, 96) for shape in shapes)
    assert all(shape[3] == pytest.approx(96, abs=1) and shape[4] == pytest.approx(64, abs=1) for shape in shapes)


def test_the_size_is_the_checkpoints_own(data: Path, checkpoint: Path) -> None:
    assert run_yolo(checkpoint, dataset(data)) == run_yolo(checkpoint, dataset(data), size=(96, 96))
    with pytest.raises(ValueError, match=r"size must be multiples of 32 for .*best\.pt, got 100 96"):
        run_yolo(checkpoint, dataset(data), size=(100, 96))


def test_other_classes_are_an_error(data: Path, checkpoint: Path, tmp_path: Path) -> None:
    file = data / "annotations" / "instances_val.json"
    (tmp_path / "a.json").write_text(file.read_text().replace('"star"', '"moon"'))
    assert "moon" in {item["name"] for item in json.loads((tmp_path / "a.json").read_text())["categories"]}
    with pytest.raises(ValueError, match="classes that the detector does not have: moon; the detector's are cross"):
        run_yolo(checkpoint, CocoDetection(tmp_path / "a.json", data / "images" / "val", train=False))
    assert set(NAMES) == set(CLASSES)


def test_checkpoints_are_told_from_weights(checkpoint: Path, tmp_path: Path) -> None:
    assert is_ultralytics_file(checkpoint)
    torch.save({"weight": torch.zeros(3), "note": "ultralytics"}, tmp_path / "w.pt")
    assert not is_ultralytics_file(tmp_path / "w.pt")
    (tmp_path / "cut.pt").write_bytes(checkpoint.read_bytes()[:-5000])
    assert not is_ultralytics_file(tmp_path / "cut.pt")
    assert not is_ultralytics_file(MODEL)


class Stranger(nn.Module):
    """A class that ultralytics does not know."""


def test_checkpoints_that_need_strange_classes_are_refused(tmp_path: Path) -> None:
    torch.save({"model": Stranger()}, tmp_path / "best.pt")
    with pytest.raises(ValueError, match=r"best\.pt: .*references types outside") as caught:
        load_yolo(tmp_path / "best.pt")
    assert "\n" not in str(caught.value)
    with pytest.raises(FileNotFoundError, match=r"checkpoint not found: nothing\.pt"):
        load_yolo("nothing.pt")
