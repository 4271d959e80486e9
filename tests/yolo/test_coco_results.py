"""Checkpoints of ultralytics on our data sets."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from torch import nn
from ultralytics import YOLO

from mvdet.checkpoints.ultralytics_file import is_ultralytics_file
from mvdet.data.coco import CocoDetection, coco_split
from mvdet.data.image_files import read_image
from mvdet.data.shapes import CLASSES, generate
from mvdet.evaluation.coco import evaluate_coco
from mvdet.yolo.coco_results import load_yolo, run_yolo

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


def test_results_are_those_of_ultralytics_by_class_name(data: Path, checkpoint: Path) -> None:
    images = dataset(data)
    results = run_yolo(checkpoint, images, size=(96, 96))
    ids = dict(zip(images.class_names, images.category_ids, strict=True))
    network = YOLO(checkpoint)
    for record in images.records:
        pixels = read_image(record.file)[..., ::-1].copy()
        (found,) = network.predict(pixels, conf=0.001, iou=0.7, max_det=300, imgsz=96, verbose=False)
        mine = [entry for entry in results if entry["image_id"] == record.image_id]
        assert len(mine) == len(found.boxes) > 0
        for entry, (x1, y1, x2, y2), label in zip(mine, found.boxes.xyxy.tolist(), found.boxes.cls, strict=True):
            assert entry["category_id"] == ids[found.names[int(label)]]
            assert entry["bbox"] == pytest.approx([x1, y1, x2 - x1, y2 - y1], abs=1e-3)
            assert x2 <= record.width
            assert y2 <= record.height
    assert len({entry["category_id"] for entry in results}) > 1
    assert evaluate_coco(images.coco_ground_truth(), results).detections == len(results)


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
