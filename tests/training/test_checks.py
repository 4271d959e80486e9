"""Runs that cannot learn, of each task, end before there is a network; what is said on the way."""

import json
import logging
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from mvdet.training.classification import ClassificationRecipe, classification_task
from mvdet.training.detection import SSDLiteRecipe, detection_task
from mvdet.training.evaluate import evaluate
from mvdet.training.run import RunResult
from mvdet.training.segmentation import SegmentationRecipe, segmentation_task

SMALL: dict[str, Any] = {"backbone": "mobilevit_xxs", "size": (64, 64), "batch_size": 2, "workers": 0}


def write_picture(file: Path, seed: int) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.random.default_rng(seed).integers(0, 256, (48, 64, 3), np.uint8)).save(file)


def write_coco(root: Path, **boxes: list[float]) -> Path:
    """Two pictures a split, with a box each."""
    for place, (split, box) in enumerate(boxes.items()):
        for number in (1, 2):
            write_picture(root / split / f"{number}.png", 10 * place + number)
        images = [{"id": number, "file_name": f"{number}.png", "width": 64, "height": 48} for number in (1, 2)]
        objects = [{"id": n, "image_id": n, "category_id": 1, "bbox": box, "iscrowd": 0} for n in (1, 2)]
        content = {"images": images, "annotations": objects, "categories": [{"id": 1, "name": "cat"}]}
        (root / "annotations").mkdir(exist_ok=True)
        (root / "annotations" / f"instances_{split}.json").write_text(json.dumps(content))
    return root


def write_masks(root: Path, **values: list[int]) -> Path:
    """Two pictures a split, the halves of whose masks are two numbers."""
    (root / "classes.txt").write_text("background\nthing\n")
    for place, (split, halves) in enumerate(values.items()):
        for number in (1, 2):
            write_picture(root / "images" / split / f"{number}.png", 10 * place + number)
            (root / "masks" / split).mkdir(parents=True, exist_ok=True)
            mask = np.repeat(np.array([halves], np.uint8), 32, axis=1).repeat(48, axis=0)
            Image.fromarray(mask).save(root / "masks" / split / f"{number}.png")
    return root


def test_detection(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    recipe = SSDLiteRecipe(
        data_format="coco", data_root=write_coco(tmp_path, train=[1, 1, 0, 0], val=[1, 1, 9, 9]), **SMALL
    )
    with pytest.raises(
        ValueError, match=r"\(coco\): training data: not one usable object in 2 images, of the classes cat;"
    ):
        detection_task(recipe)
    assert "2 of 2 objects are left out" in caplog.text
    write_coco(tmp_path, train=[0.1, 0.1, 0.5, 0.5], val=[1, 1, 0, 0])
    with pytest.raises(ValueError, match=r"\(coco\): validation data: not one usable object in 2 images"):
        detection_task(recipe)
    write_coco(tmp_path, train=[0.1, 0.1, 0.5, 0.5], val=[1, 1, 9, 9])
    caplog.clear()
    detection_task(recipe)
    assert [r.message for r in caplog.records if r.levelno == logging.WARNING and "normalised" in r.message]


def test_segmentation(tmp_path: Path) -> None:
    root = write_masks(tmp_path, train=[0, 255], val=[0, 255])
    with pytest.raises(
        ValueError, match=r"\(folder\): training data: .* 0/255 masks\? --mask-values 0 255 .*; validation data: "
    ):
        segmentation_task(SegmentationRecipe(data_format="folder", data_root=root, **SMALL))
    recipe = SegmentationRecipe(data_format="folder", data_root=root, mask_values=(0, 255), **SMALL)
    assert set(segmentation_task(recipe).train_data[0][1]["mask"].unique().tolist()) <= {0, 1, 255}
    assert set(segmentation_task(recipe).val_data[0][1]["mask"].unique().tolist()) == {0, 1}


def test_classification(tmp_path: Path) -> None:
    for split, seed in (("train", 0), ("val", 10)):
        for number in (1, 2):
            write_picture(tmp_path / split / "cat" / f"{number}.png", seed + number)
    with pytest.raises(ValueError, match=r"\(folder\): training data: 2 images, all of cat: no other class"):
        classification_task(ClassificationRecipe(data_format="folder", data_root=tmp_path, **SMALL))


def test_evaluation_without_anything_to_measure(segmenter_run: RunResult, mask_folder: Path, tmp_path: Path) -> None:
    (tmp_path / "SegmentationClass").mkdir()
    for name in ("JPEGImages", "ImageSets"):
        (tmp_path / name).symlink_to(mask_folder / name)
    for file in (mask_folder / "SegmentationClass").iterdir():
        with Image.open(file) as mask:
            Image.new("P", mask.size).save(tmp_path / "SegmentationClass" / file.name)
    options = {"model": str(segmenter_run.best), "data_format": "voc", "data_root": tmp_path, "split": ["val"]}
    options |= {"class_names": ["background", "circle", "triangle", "square", "star", "cross"], "device": "cpu"}
    with pytest.raises(ValueError, match=r"the 3 masks hold background alone$"):
        evaluate({**options, "output": tmp_path / "out"}, pytest.fail)


def test_results_without_objects_to_score_by(tmp_path: Path) -> None:
    content = {"images": [{"id": 1}], "annotations": [], "categories": [{"id": 1, "name": "cat"}]}
    (tmp_path / "a.json").write_text(json.dumps(content))
    (tmp_path / "r.json").write_text("[]")
    files = {"results": tmp_path / "r.json", "annotations": tmp_path / "a.json", "output": tmp_path / "out"}
    with pytest.raises(ValueError, match=r"a.json: no object but 0 crowds: there is nothing to score by"):
        evaluate(files, pytest.fail)
