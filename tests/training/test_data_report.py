"""What `scripts/check_data.py` says of data of each task."""

from pathlib import Path
from typing import Any

import layouts
import numpy as np
import pytest
from PIL import Image

from mvdet.data.io.faults import Remark
from mvdet.data.shapes.dataset import generate
from mvdet.training.data_report import check_data, data_recipe


@pytest.fixture(scope="module")
def shapes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return generate(tmp_path_factory.mktemp("data") / "shapes", num_train=6, num_val=4)


def test_detection(shapes: Path, tmp_path: Path) -> None:
    report = check_data(*data_recipe(shapes, None, None, {}), tmp_path)
    assert report.errors == []
    assert report.text.startswith(f"{shapes} (coco), for detection\n")
    assert "training data: 6 images" in report.text
    assert "validation data: 4 images" in report.text
    assert "object sizes: small " in report.text
    assert "image sizes: " in report.text
    assert "error" not in report.text
    for split in ("training", "validation"):
        with Image.open(tmp_path / split / "contact_sheet.png") as sheet:
            assert len(np.unique(np.asarray(sheet.convert("RGB")).reshape(-1, 3), axis=0)) > 1000


def test_segmentation(shapes: Path, tmp_path: Path) -> None:
    settings: dict[str, Any] = {"train_split": ["train"], "val_split": ["val"]}
    settings["class_names"] = ["background", "circle", "triangle", "square", "star", "cross"]
    report = check_data(*data_recipe(shapes / "VOC", "segmentation", None, settings), tmp_path)
    assert report.errors == []
    assert (tmp_path / "validation" / "index.html").read_text().count("<tr>") == 5
    settings["class_names"] += ["cow"]
    report = check_data(*data_recipe(shapes / "VOC", "segmentation", "voc", settings))
    assert "warning: training data: 1 of 7 classes never occur and cannot be learnt: cow" in report.text


def test_classification_with_a_file_that_only_decoding_shows_to_be_broken(image_folders: Path, tmp_path: Path) -> None:
    for split in ("train", "val"):
        for name in ("circle", "star"):
            (tmp_path / split / name).mkdir(parents=True)
            for file in sorted((image_folders / split / name).iterdir())[:2]:
                (tmp_path / split / name / file.name).write_bytes(file.read_bytes())
    broken = next((tmp_path / "val" / "star").iterdir())
    content = broken.read_bytes()
    broken.write_bytes(content[: len(content) // 3] + bytes(len(content) // 3) + content[-2:])
    report = check_data(*data_recipe(tmp_path, None, None, {"on_bad_data": "skip"}), tmp_path / "sheets")
    assert "training data: 4 images, 2 classes: circle, star" in report.text
    assert report.errors == []


@pytest.mark.parametrize(
    ("task", "data_format", "settings", "message"),
    [
        ("detection", "folder", {}, "--data-format for detection must be one of .*, got folder"),
        (None, "foo", {}, "--data-format must be one of shapes, folder, bccd, .*, got foo"),
        (None, "coco", {"mask_folder": "a"}, "--mask-folder does not go with detection"),
        ("detection", "coco", {"mask_values": [0, 255]}, "--mask-values does not go with detection"),
        ("classification", "folder", {"train_split": ["a", "b"]}, "one split each, got a, b"),
    ],
)
def test_what_does_not_go_together(
    task: str | None, data_format: str, settings: dict[str, Any], message: str, tmp_path: Path
) -> None:
    with pytest.raises(ValueError, match=message):
        data_recipe(tmp_path, task, data_format, settings)


@pytest.mark.parametrize("layout", [*layouts.SPLIT, *layouts.WHOLE])
def test_folders_are_recognised(layout: str, tmp_path: Path) -> None:
    data_format, write = (layouts.SPLIT | layouts.WHOLE)[layout]
    write(tmp_path)
    task, recipe = data_recipe(tmp_path, None, None, {"val_share": 0.3})
    assert (task, recipe.data_format) == ("detection", data_format)
    report = check_data(task, recipe)
    assert report.text.startswith(f"{tmp_path} ({data_format}), for detection\n\ntraining data: 4 images, ")
    assert report.errors == []


def test_remarks_are_in_the_report(tmp_path: Path) -> None:
    layouts.yolo(tmp_path)
    (tmp_path / "labels/train/one.txt").unlink()
    text = check_data(*data_recipe(tmp_path, None, None, {})).text
    assert f"remark: training data: {tmp_path}/images/train: 1 x {Remark.NO_LABELS}: " in text
    assert "nothing looks wrong" not in text


def test_other_tasks_are_named(shapes: Path) -> None:
    folder = shapes / "VOC"
    report = check_data(*data_recipe(folder, None, None, {}))
    assert report.text.startswith(f"{folder} (voc), for detection; for segmentation as well (--task says which)\n")


def test_a_folder_of_nothing(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=f"^{tmp_path}: no data set found, it holds nothing; understood are "):
        data_recipe(tmp_path, None, None, {})
