"""`scripts/evaluate.py` on classifiers and segmentation networks."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from mvdet.data.io.images import read_image
from mvdet.data.shapes.dataset import CLASSES
from mvdet.data.transforms.classification import eval_transform
from mvdet.models.trained import find_model
from mvdet.training.run import RunResult

Script = Callable[..., str]
Lively = Callable[[Path, Path], Path]
MASK_CLASSES = ("background", *CLASSES)


def read(file: Path) -> Any:
    return json.loads(file.read_text())


def on_folders(model: Path, data: Path, output: Path) -> tuple[Any, ...]:
    options = ("--workers", 0, "--batch-size", 8, "--device", "cpu", "--output", output)
    return ("evaluate", "--model", model, "--data-format", "folder", "--data-root", data, *options)


def on_masks(model: Path, data: Path, output: Path) -> tuple[Any, ...]:
    options = ("--workers", 0, "--device", "cpu", "--output", output, "--class-names", *MASK_CLASSES, "--split", "val")
    return ("evaluate", "--model", model, "--data-format", "voc", "--data-root", data, *options)


def test_a_classifier_scores_what_training_said(
    script: Script, classifier_run: RunResult, image_folders: Path, tmp_path: Path
) -> None:
    printed = script(*on_folders(classifier_run.best, image_folders, tmp_path / "out"))
    metrics = read(tmp_path / "out" / "metrics.json")["metrics"]
    assert metrics == pytest.approx(classifier_run.metrics)
    assert f"top-1 {100 * metrics['top1']:.1f}" in printed


@pytest.mark.parametrize("size", [None, (96, 64)])
def test_top1_is_a_count_by_hand(
    script: Script,
    classifier_run: RunResult,
    lively: Lively,
    image_folders: Path,
    tmp_path: Path,
    size: tuple[int, int] | None,
) -> None:
    checkpoint, output = lively(classifier_run.best, image_folders), tmp_path / "out"
    script(*on_folders(checkpoint, image_folders, output), *(("--size", *size) if size else ()))
    results, metrics = read(output / "results.json"), read(output / "metrics.json")
    model = find_model(checkpoint).model
    right = {name: [0, 0] for name in sorted(CLASSES)}
    for number, name in enumerate(sorted(CLASSES)):
        for file in sorted((image_folders / "val" / name).iterdir()):
            pixels = torch.from_numpy(read_image(file)).permute(2, 0, 1)
            with torch.no_grad():
                logits = model(eval_transform(*(size or (64, 64)))(pixels)[None] / 255)[0]
            (entry,) = [one for one in results if one["file"] == str(file)]
            assert (entry["label"], entry["class_name"]) == (number, name)
            assert [one["label"] for one in entry["classes"]] == logits.argsort(descending=True).tolist()
            assert entry["classes"][0]["score"] == pytest.approx(float(logits.softmax(0).max()), abs=1e-3)
            right[name][0] += int(logits.argmax()) == number
            right[name][1] += 1
    images = sum(count for _, count in right.values())
    assert 0 < sum(hits for hits, _ in right.values()) < images
    assert len({one["classes"][0]["label"] for one in results}) > 1
    assert metrics["metrics"]["top1"] == sum(hits for hits, _ in right.values()) / images
    assert metrics["counts"] == {"images": images} == {"images": len(results)}
    for name, (hits, count) in right.items():
        assert metrics["per_class"][name] == {"accuracy": hits / count, "images": count}
    assert (output / "confusion_matrix.png").is_file()
    wrong = images - sum(hits for hits, _ in right.values())
    assert (output / "mistakes" / "index.html").read_text().count("<tr>") == 1 + min(wrong, 24)


def brute_force(output: Path, data: Path) -> tuple[float, dict[str, float | None]]:
    """Mean IoU and each class's, pixel by pixel from the stored masks and predictions."""
    counts = {name: [0, 0] for name in MASK_CLASSES}
    names = (data / "ImageSets" / "Segmentation" / "val.txt").read_text().split()
    assert len(list((output / "predictions").iterdir())) == len(names) == 3
    for name in names:
        with Image.open(data / "SegmentationClass" / f"{name}.png") as picture:
            mask = np.asarray(picture)
        with Image.open(output / "predictions" / f"{name}.png") as picture:
            assert picture.mode == "P"
            assert picture.getpalette()[3:6] == [128, 0, 0]
            found = np.asarray(picture)
        assert found.shape == mask.shape
        for number, class_name in enumerate(MASK_CLASSES):
            there, said = (mask == number) & (mask != 255), (found == number) & (mask != 255)
            counts[class_name][0] += int((there & said).sum())
            counts[class_name][1] += int((there | said).sum())
    ious = {name: both / either if either else None for name, (both, either) in counts.items()}
    known = [iou for iou in ious.values() if iou is not None]
    return sum(known) / len(known), ious


def test_masks_are_scored_as_training_said(
    script: Script, segmenter_run: RunResult, mask_folder: Path, tmp_path: Path
) -> None:
    printed = script(*on_masks(segmenter_run.best, mask_folder, tmp_path / "out"))
    found = read(tmp_path / "out" / "metrics.json")
    assert found["metrics"] == pytest.approx(segmenter_run.metrics, abs=1e-6)
    assert (found["size"], found["sliding_window"], found["counts"]["images"]) == ([64, 64], False, 3)
    assert f"mIoU {100 * found['metrics']['mIoU']:.1f}" in printed


def test_miou_is_a_count_of_the_saved_masks(
    script: Script, segmenter_run: RunResult, lively: Lively, mask_folder: Path, tmp_path: Path
) -> None:
    checkpoint = lively(segmenter_run.best, mask_folder)
    predictions = []
    for output, flags in ((tmp_path / "whole", ()), (tmp_path / "windows", ("--sliding-window",))):
        script(*on_masks(checkpoint, mask_folder, output), *flags)
        metrics = read(output / "metrics.json")
        mean, ious = brute_force(output, mask_folder)
        assert metrics["metrics"]["mIoU"] == pytest.approx(mean)
        assert mean > 0
        assert {name: one["iou"] for name, one in metrics["per_class"].items()} == pytest.approx(ious)
        assert {path.name for path in output.iterdir()} == {
            *("metrics.json", "predictions", "worst", "confusion_matrix.png", "per_class_iou.png")
        }
        assert (output / "worst" / "index.html").read_text().count("<tr>") == 4
        predictions.append(np.concatenate([np.asarray(Image.open(f)).ravel() for f in output.glob("predictions/*")]))
    assert len(np.unique(predictions[0])) > 1
    assert (predictions[0] != predictions[1]).any()


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (("--data-format", "coco"), "--data-format for a classifier must be one of shapes, folder, got coco"),
        (("--data-format", "folder", "--sliding-window"), "--sliding-window does not go with a classifier, which "),
        (("--data-format", "folder", "--class-names", "a"), "--class-names does not go with a classifier, which "),
        (("--data-format", "folder", "--data-root", "x", "--split", "a", "b"), "evaluated on one split, got a, b"),
    ],
)
def test_what_does_not_go_with_a_classifier(
    script: Script, classifier_run: RunResult, tmp_path: Path, flags: tuple[str, ...], message: str
) -> None:
    with pytest.raises(SystemExit, match=f"^error: .*{message}"):
        script("evaluate", "--model", classifier_run.best, "--output", tmp_path / "out", *flags)
    assert not (tmp_path / "out").exists()


def test_what_does_not_go_with_masks(script: Script, segmenter_run: RunResult, tmp_path: Path) -> None:
    start = ("evaluate", "--model", segmenter_run.best, "--output", tmp_path / "out", "--data-format")
    with pytest.raises(SystemExit, match="for a segmentation network must be one of shapes, voc, folder, got bccd"):
        script(*start, "bccd")
    with pytest.raises(SystemExit, match="--score-threshold does not go with a segmentation network"):
        script(*start, "voc", "--score-threshold", 0.5)
    with pytest.raises(SystemExit, match="mask_folder is a voc data set's, got Aug with shapes"):
        script(*start, "shapes", "--mask-folder", "Aug")


def test_masks_of_another_folder(script: Script, segmenter_run: RunResult, mask_folder: Path, tmp_path: Path) -> None:
    """As SBD's, beside VOC's own: here they say that everything is background."""
    for name in ("JPEGImages", "ImageSets"):
        (tmp_path / name).symlink_to(mask_folder / name)
    (tmp_path / "Aug").mkdir()
    for name in (mask_folder / "ImageSets" / "Segmentation" / "val.txt").read_text().split():
        with Image.open(mask_folder / "SegmentationClass" / f"{name}.png") as mask:
            Image.new("P", mask.size).save(tmp_path / "Aug" / f"{name}.png")
    script(*on_masks(segmenter_run.best, tmp_path, tmp_path / "out"), "--mask-folder", "Aug")
    per_class = read(tmp_path / "out" / "metrics.json")["per_class"]
    assert {name for name, one in per_class.items() if one["pixels"]} == {"background"}


def test_another_number_of_classes(
    script: Script, classifier_run: RunResult, image_folders: Path, tmp_path: Path
) -> None:
    (tmp_path / "val").mkdir()
    for name in ("circle", "star"):
        (tmp_path / "val" / name).symlink_to(image_folders / "val" / name)
    wanted = "the classifier has 5 classes, the data set 2: circle, cross, square, star, triangle; circle, star"
    with pytest.raises(SystemExit, match=f"^error: {wanted}$"):
        script(*on_folders(classifier_run.best, tmp_path, tmp_path / "out"))
