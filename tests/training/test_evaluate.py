"""Detectors, classifiers and segmentation networks on data sets, and what does not go together."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import layouts
import numpy as np
import pytest
import torch
from PIL import Image
from small_runs import MASK_CLASSES

from mvdet import create_model
from mvdet.data.io.images import read_image
from mvdet.data.shapes.dataset import CLASSES, generate
from mvdet.data.transforms.classification import eval_transform
from mvdet.models.trained import find_model
from mvdet.training.evaluate import evaluate
from mvdet.training.run import RunResult

Lively = Callable[[Path, Path], Path]


def read(file: Path) -> Any:
    return json.loads(file.read_text())


def run(**arguments: Any) -> str:
    """What `scripts/evaluate.py` prints; no test here has a checkpoint of ultralytics but the one that says so."""

    def no_yolo(*_: Any, **__: Any) -> Any:
        raise AssertionError("ultralytics was asked")

    return evaluate({"device": "cpu", "workers": 0} | arguments, no_yolo)


def on_folders(model: Path, data: Path, output: Path) -> dict[str, Any]:
    return {"model": str(model), "data_format": "folder", "data_root": data, "batch_size": 8, "output": output}


def on_masks(model: Path, data: Path, output: Path) -> dict[str, Any]:
    options = {"output": output, "class_names": MASK_CLASSES, "split": ["val"]}
    return {"model": str(model), "data_format": "voc", "data_root": data, **options}


def test_a_classifier_scores_what_training_said(classifier_run: RunResult, image_folders: Path, tmp_path: Path) -> None:
    printed = run(**on_folders(classifier_run.best, image_folders, tmp_path / "out"))
    metrics = read(tmp_path / "out" / "metrics.json")["metrics"]
    assert metrics == pytest.approx(classifier_run.metrics)
    assert f"top-1 {100 * metrics['top1']:.1f}" in printed


@pytest.mark.parametrize("size", [None, (96, 64)])
def test_top1_is_a_count_by_hand(
    classifier_run: RunResult,
    lively: Lively,
    image_folders: Path,
    tmp_path: Path,
    size: tuple[int, int] | None,
) -> None:
    checkpoint, output = lively(classifier_run.best, image_folders), tmp_path / "out"
    run(**on_folders(checkpoint, image_folders, output), size=size)
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


def test_masks_are_scored_as_training_said(segmenter_run: RunResult, mask_folder: Path, tmp_path: Path) -> None:
    printed = run(**on_masks(segmenter_run.best, mask_folder, tmp_path / "out"))
    found = read(tmp_path / "out" / "metrics.json")
    assert found["metrics"] == pytest.approx(segmenter_run.metrics, abs=1e-6)
    assert (found["size"], found["sliding_window"], found["counts"]["images"]) == ([64, 64], False, 3)
    assert f"mIoU {100 * found['metrics']['mIoU']:.1f}" in printed


def test_miou_is_a_count_of_the_saved_masks(
    segmenter_run: RunResult, lively: Lively, mask_folder: Path, tmp_path: Path
) -> None:
    checkpoint = lively(segmenter_run.best, mask_folder)
    predictions = []
    for output, sliding_window in ((tmp_path / "whole", None), (tmp_path / "windows", True)):
        run(**on_masks(checkpoint, mask_folder, output), sliding_window=sliding_window)
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
    ("arguments", "message"),
    [
        ({"data_format": "coco"}, "--data-format for a classifier must be one of shapes, folder, got coco"),
        ({"data_format": "folder", "sliding_window": True}, "--sliding-window does not go with a classifier, which "),
        ({"data_format": "folder", "class_names": ["a"]}, "--class-names does not go with a classifier, which "),
        ({"data_format": "folder", "data_root": "x", "split": ["a", "b"]}, "evaluated on one split, got a, b"),
    ],
)
def test_what_does_not_go_with_a_classifier(
    classifier_run: RunResult, tmp_path: Path, arguments: dict[str, Any], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        run(model=str(classifier_run.best), output=tmp_path / "out", **arguments)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"data_format": "bccd"}, "for a segmentation network must be one of shapes, voc, folder, got bccd"),
        ({"data_format": "voc", "score_threshold": 0.5}, "--score-threshold does not go with a segmentation network"),
        ({"data_format": "shapes", "mask_folder": "Aug"}, "mask_folder is a voc data set's, got Aug with shapes"),
    ],
)
def test_what_does_not_go_with_masks(
    segmenter_run: RunResult, tmp_path: Path, arguments: dict[str, Any], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        run(model=str(segmenter_run.best), output=tmp_path / "out", **arguments)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"model": "best.ckpt"}, "--model needs --data-root"),
        ({"model": "best.ckpt", "data_format": "bccd", "iou_type": "segm"}, "--iou-type does not go with --model"),
        (
            {"results": Path("r.json"), "annotations": Path("a.json"), "size": [64, 64]},
            "--size does not go with --results",
        ),
        ({"results": Path("r.json")}, "--results needs --annotations"),
    ],
)
def test_arguments_that_do_not_go_together(arguments: dict[str, Any], message: str, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=f"^{message}$"):
        evaluate({"output": tmp_path / "out", "data_root": None, **arguments}, pytest.fail)


@pytest.fixture(scope="module")
def shapes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return generate(tmp_path_factory.mktemp("data") / "shapes", num_train=1, num_val=3)


def save_detector(file: Path, names: tuple[str, ...]) -> None:
    """An untrained detector as a run saves it."""
    model = create_model("ssdlite_mobilevit_xxs", num_classes=len(names) + 1)
    built = {"name": "ssdlite_mobilevit_xxs", "options": {"size": [64, 96]}, "size": [64, 96]}
    known = {"model": built, "class_names": names, "category_ids": list(range(1, len(names) + 1))}
    weights = {f"model.{key}": value for key, value in model.state_dict().items()}
    torch.save({"hyper_parameters": known, "state_dict": weights}, file)


@pytest.mark.parametrize(
    ("write", "images"),
    [(layouts.yolo, 2), (layouts.coco_roboflow, 2), (layouts.voc_beside, 2), (layouts.coco_cvat, 1)],
)
def test_a_folder_alone_is_recognised(write: Callable[[Path], None], images: int, tmp_path: Path) -> None:
    save_detector(tmp_path / "best.ckpt", layouts.CLASSES)
    write(tmp_path / "data")
    printed = run(model=str(tmp_path / "best.ckpt"), output=tmp_path / "out", data_root=tmp_path / "data")
    assert printed.startswith(f"{images} images, ")


def test_classes_that_do_not_occur_in_the_images_to_evaluate_on(tmp_path: Path) -> None:
    save_detector(tmp_path / "best.ckpt", ("bird", *layouts.CLASSES))
    layouts.labelme(tmp_path / "data")
    printed = run(model=str(tmp_path / "best.ckpt"), output=tmp_path / "out", data_root=tmp_path / "data")
    assert {line.split()[0] for line in printed.splitlines() if line} >= {"bird", "cat", "dog"}


def test_a_detector_on_voc_data(shapes: Path, tmp_path: Path) -> None:
    """An untrained one, saved as training does, whose classes have another order than the data set's."""
    save_detector(tmp_path / "best.ckpt", CLASSES[::-1])
    data = {"data_format": "voc", "data_root": shapes / "VOC", "split": ["val"], "class_names": CLASSES}
    printed = run(model=str(tmp_path / "best.ckpt"), output=tmp_path / "out", **data)
    assert printed.startswith("3 images, ")
    assert printed.splitlines()[-1].startswith("VOC AP at IoU 0.5: 11 points ")
    metrics = read(tmp_path / "out" / "metrics.json")
    assert metrics["counts"]["detections"] == len(read(tmp_path / "out" / "results.json")) > 0
    assert set(read(tmp_path / "out" / "voc_metrics.json")["per_class"]) == set(CLASSES)
    assert (tmp_path / "out" / "mistakes" / "contact_sheet.png").is_file()


@pytest.mark.parametrize("size", [None, [64, 96]])
def test_a_checkpoint_of_ultralytics_is_handed_to_its_runner(
    size: list[int] | None, shapes: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("mvdet.training.evaluate.is_ultralytics_file", lambda file: True)
    (tmp_path / "best.pt").touch()
    asked = []

    def run_yolo(checkpoint: str | Path, dataset: Any, **options: Any) -> list[dict[str, Any]]:
        asked.append((checkpoint, len(dataset), options))
        box = {"bbox": [1.0, 1.0, 5.0, 5.0], "score": 0.5}
        return [{"image_id": dataset.records[0].image_id, "category_id": dataset.category_ids[0], **box}]

    arguments = {"model": str(tmp_path / "best.pt"), "data_format": "coco", "data_root": shapes, "size": size}
    printed = evaluate({"output": tmp_path / "out", "device": "cpu", **arguments}, run_yolo)
    wanted = {"size": size and tuple(size), "device": torch.device("cpu")}
    assert asked == [(str(tmp_path / "best.pt"), 3, wanted)]
    assert printed.startswith("3 images, ")
    assert ", 1 detections; " in printed
    with pytest.raises(ValueError, match="--sliding-window does not go with a detector, which "):
        evaluate({"output": tmp_path, "sliding_window": True, **arguments}, run_yolo)


def test_masks_of_another_folder(segmenter_run: RunResult, mask_folder: Path, tmp_path: Path) -> None:
    """As SBD's, beside VOC's own: here they say that everything is background or a star."""
    for name in ("JPEGImages", "ImageSets"):
        (tmp_path / name).symlink_to(mask_folder / name)
    (tmp_path / "Aug").mkdir()
    for name in (mask_folder / "ImageSets" / "Segmentation" / "val.txt").read_text().split():
        with Image.open(mask_folder / "SegmentationClass" / f"{name}.png") as mask:
            other = Image.new("L", mask.size)
            other.putpixel((0, 0), MASK_CLASSES.index("star"))
            other.save(tmp_path / "Aug" / f"{name}.png")
    run(**on_masks(segmenter_run.best, tmp_path, tmp_path / "out"), mask_folder="Aug")
    per_class = read(tmp_path / "out" / "metrics.json")["per_class"]
    assert {name for name, one in per_class.items() if one["pixels"]} == {"background", "star"}


def test_another_number_of_classes(classifier_run: RunResult, image_folders: Path, tmp_path: Path) -> None:
    (tmp_path / "val").mkdir()
    for name in ("circle", "star"):
        (tmp_path / "val" / name).symlink_to(image_folders / "val" / name)
    wanted = "the classifier has 5 classes, the data set 2: circle, cross, square, star, triangle; circle, star"
    with pytest.raises(ValueError, match=f"^{wanted}$"):
        run(**on_folders(classifier_run.best, tmp_path, tmp_path / "out"))
