"""A detector on a whole data set."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from mvdet.data.datasets.coco import CocoDetection
from mvdet.data.transforms.detection import eval_transform
from mvdet.evaluation.metrics.coco import evaluate_coco
from mvdet.evaluation.reports.detection import format_tables, report_on_dataset
from mvdet.evaluation.run.detection import match_classes, run_detector
from mvdet.models.trained import TrainedDetector

BOXES = [(10, 20, 110, 70), (100, 5, 150, 100), (30, 30, 60, 60)]
SIZES = [(200, 100), (160, 120), (90, 150)]  # width, height


@pytest.fixture
def folder(tmp_path: Path, red_picture: Callable[..., NDArray[np.uint8]]) -> Path:
    """Three pictures of different sizes, each with one red box, in COCO's format; categories other (3) and red (9)."""
    content: dict[str, Any] = {"images": [], "annotations": []}
    content["categories"] = [{"id": 3, "name": "other"}, {"id": 9, "name": "red"}]
    for n, (box, (width, height)) in enumerate(zip(BOXES, SIZES, strict=True), start=1):
        Image.fromarray(red_picture(width, height, box)).save(tmp_path / f"{n}.png")
        content["images"].append({"id": 10 * n, "file_name": f"{n}.png", "width": width, "height": height})
        xywh = [box[0], box[1], box[2] - box[0], box[3] - box[1]]
        content["annotations"].append({"id": n, "image_id": 10 * n, "category_id": 9, "bbox": xywh})
    (tmp_path / "a.json").write_text(json.dumps(content))
    return tmp_path


def dataset(folder: Path, **changes: Any) -> CocoDetection:
    options: dict[str, Any] = {"train": False, "transform": eval_transform, "size": (160, 320)} | changes
    return CocoDetection(folder / "a.json", folder, **options)


@pytest.mark.parametrize(("batch_size", "workers"), [(1, 0), (2, 0), (3, 1)])
def test_boxes_are_those_of_the_stored_images(
    folder: Path, red_detector: TrainedDetector, batch_size: int, workers: int
) -> None:
    results = run_detector(red_detector, dataset(folder), batch_size=batch_size, workers=workers)
    assert [entry["image_id"] for entry in results] == [10, 10, 20, 20, 30, 30]
    assert [entry["category_id"] for entry in results] == [9, 3] * 3
    for entry, (x1, y1, x2, y2) in zip(results[::2], BOXES, strict=True):
        assert entry["bbox"] == pytest.approx([x1, y1, x2 - x1, y2 - y1], abs=1.5)
        assert entry["score"] == pytest.approx(0.9)


def test_images_of_different_sizes_without_a_transform(folder: Path, red_detector: TrainedDetector) -> None:
    results = run_detector(red_detector, dataset(folder, transform=None))
    assert [tuple(entry["bbox"][:2]) for entry in results[::2]] == [box[:2] for box in BOXES]
    metrics = evaluate_coco(dataset(folder).ground_truth(), results)
    found = metrics.per_class["red"]
    assert (found.objects, found.AP) == (3, pytest.approx(1))


@pytest.mark.parametrize("names", [("red",), ("red", "other", "blue"), ("red", "red")])
def test_classes_must_agree(folder: Path, red_detector: TrainedDetector, names: tuple[str, ...]) -> None:
    message = f"the detector's are {', '.join(names)}; the data set's are other, red"
    with pytest.raises(ValueError, match=message):
        run_detector(replace(red_detector, class_names=names), dataset(folder))


def test_classes_are_matched_by_name(folder: Path) -> None:
    assert match_classes(("red", "other"), dataset(folder)) == (9, 3)
    with pytest.raises(ValueError, match="classes that the detector does not have: red; "):
        match_classes(("blue", "other"), dataset(folder))


def test_a_training_set_is_refused(folder: Path, red_detector: TrainedDetector) -> None:
    with pytest.raises(ValueError, match=r"a\.json: detections are evaluated on a data set made with train=False"):
        run_detector(red_detector, dataset(folder, train=True))


@pytest.mark.parametrize("workers", [0, 1])
def test_an_unreadable_image_is_one_line(folder: Path, red_detector: TrainedDetector, workers: int) -> None:
    data = dataset(folder)
    (folder / "2.png").write_bytes(b"nothing")
    with pytest.raises(ValueError, match=r"^image 20: unreadable image: .*2\.png: not an image") as caught:
        run_detector(red_detector, data, workers=workers)
    assert "\n" not in str(caught.value)


def test_the_report(folder: Path, red_detector: TrainedDetector, tmp_path: Path) -> None:
    data = dataset(folder, transform=None)
    coco, voc = report_on_dataset(data, run_detector(red_detector, data), tmp_path / "out", score_threshold=0.1)
    assert voc is None
    written = {path.relative_to(tmp_path / "out").as_posix() for path in (tmp_path / "out").rglob("*")}
    assert written >= {"results.json", "metrics.json", "mistakes/contact_sheet.png", "precision_recall.png"}
    assert format_tables(coco, voc).splitlines()[-1].split() == ["red", "3", "100.0", "100.0"]
