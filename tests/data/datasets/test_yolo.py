"""YOLO's data as a data set: what is no object, and what is bad."""

import re
from pathlib import Path
from typing import Any

import layouts
import pytest
from layouts import CLASSES, picture_file, write_text

from mvdet.data.datasets.yolo import YoloDetection
from mvdet.data.formats.layout import Place
from mvdet.data.io.faults import Fault, Remark


def load(*places: Place, **options: Any) -> YoloDetection:
    return YoloDetection(places, CLASSES, **{"train": False} | options)


def test_images_without_rows_show_nothing(tmp_path: Path) -> None:
    layouts.yolo(tmp_path)
    write_text(tmp_path / "labels/train/one.txt", "")
    (tmp_path / "labels/train/two.txt").unlink()
    dataset = load(Place(tmp_path / "images/train"), on_bad_data="error")
    assert dataset.bad_data.remarks == {Remark.NO_LABELS: 1}
    counts = {Path(record.file).stem: len(record.objects) for record in dataset.records}
    assert counts == {"one": 0, "two": 0, "three": 1, "four.b": 2}


@pytest.mark.parametrize(
    ("row", "fault", "what"),
    [
        ("0 0.5 0.5", Fault.BAD_ROW, "row 2: a class and 4 numbers"),
        (
            "7 0.5 0.5 0.2 0.2",
            Fault.UNKNOWN_CATEGORY,
            "row 2 (class number 7), box 0.4, 0.4, 0.6, 0.6; allowed are cat",
        ),
        ("0 0.5 0.5 0 0.2", Fault.NO_AREA, "row 2 (cat), box 0.5, 0.4, 0.5, 0.6"),
        ("0 20 30 40 50", Fault.BAD_ROW, "row 2: shares of width and height"),
    ],
)
def test_bad_rows(row: str, fault: Fault, what: str, tmp_path: Path) -> None:
    layouts.yolo(tmp_path)
    file = tmp_path / "labels/val/five.txt"
    write_text(file, layouts.yolo_rows("five") + row)
    place = Place(tmp_path / "images/val")
    dataset = load(place)
    assert dataset.bad_data.counts == {fault: 1}
    assert f"{fault}: {file}: {what}" in dataset.summary()
    assert len(dataset.records[0].objects) == 1
    with pytest.raises(ValueError, match=re.escape(f"{file}: {what}")):
        load(place, on_bad_data="error")


@pytest.mark.parametrize("beside", [False, True])
def test_labels_without_an_image(beside: bool, tmp_path: Path) -> None:
    layouts.yolo(tmp_path)
    images, labels = tmp_path / "images/train", tmp_path / "labels/train"
    if beside:
        labels = images.rename(tmp_path / "train")
        for file in (tmp_path / "labels/train").iterdir():
            file.rename(labels / file.name)
        images = labels
    for name, text in (("classes", "cat\ndog\n"), ("empty", ""), ("gone", "0 0.5 0.5 0.2 0.2\n")):
        write_text(labels / f"{name}.txt", text)
    dataset = load(Place(images))
    assert dataset.bad_data.counts == {Fault.UNKNOWN_IMAGE: 1}
    assert f"{labels}/gone.txt: no image of this name" in dataset.summary()
    assert len(dataset.records.objects) == 6


def test_a_list_of_images(tmp_path: Path) -> None:
    layouts.yolo(tmp_path)
    file = tmp_path / "lists/some.txt"
    lines = [str(tmp_path / "images/val/five.jpg"), "./images/train/one.jpg", "images\\train\\two.jpg", "", "gone.jpg"]
    write_text(file, "\n".join([*lines, "images/train/one.jpg"]))
    dataset = load(Place(tmp_path, names=file))
    assert [Path(record.file).stem for record in dataset.records] == ["five", "one", "two"]
    assert dataset.bad_data.counts == {Fault.MISSING_IMAGE: 1, Fault.DUPLICATE_ID: 1}
    assert f"{file.parent}/gone.jpg: no such file" in dataset.summary()


def test_a_broken_picture(tmp_path: Path) -> None:
    layouts.yolo(tmp_path)
    file = picture_file(tmp_path / "images/val", "five")
    file.write_bytes(file.read_bytes()[:-200])
    dataset = load(Place(tmp_path / "images/val"))
    assert dataset.bad_data.counts == {Fault.UNREADABLE_IMAGE: 1}
    assert str(file) in dataset.summary()
