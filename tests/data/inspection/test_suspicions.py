import re
import shutil
from collections.abc import Callable
from typing import Any

import pytest

from mvdet.data.inspection.statistics import TRAINING, VALIDATION, statistics_of
from mvdet.data.inspection.suspicions import suspicions, suspicious_pictures

Make = Callable[..., Any]


def said(dataset: Any, split: str = TRAINING) -> list[str]:
    return suspicions(dataset, statistics_of(dataset, split))


def test_nothing_to_say(objects: Make, masks: Make, folders: Make) -> None:
    assert said(objects([[("cat", 5, 5, 40, 40), ("dog", 30, 20, 34, 28)]] * 3)) == []
    assert said(masks([[0, 0, 1, 255]])) == []
    assert said(folders({"cat": 2, "dog": 3})) == []


def test_classes_that_never_occur(objects: Make, masks: Make) -> None:
    dataset = objects([[("cat", 1, 1, 60, 40)]], ["cat", "dog", "cow"])
    (text,) = said(dataset)
    assert text.startswith("training data: 2 of 3 classes never occur and cannot be learnt: dog, cow (")
    assert "cannot be measured" in said(dataset, VALIDATION)[0]
    (text,) = said(masks([[0, 1]], ["a", "b", "c"]))
    assert "1 of 3 classes never occur and cannot be learnt: c" in text


@pytest.mark.parametrize(
    ("boxes", "text"),
    [
        ([(0.2, 0.1, 0.5, 0.6)], "3 of 3 boxes lie within 0 to 1: normalised coordinates"),
        ([(0.2, 0.1, 0.5, 0.6), (10, 10, 30, 30)], "3 of 6 boxes lie within 0 to 1"),
        ([(30, 20, 60, 44), (2, 2, 20, 20)], "3 of 6 boxes leave their images .*: corners in place of sizes"),
        (
            [(3 * n % 13, n % 9, 7, 7) for n in range(9)],
            "no box reaches beyond 19, 15 pixels .*: coordinates of",
        ),
    ],
)
def test_boxes_of_other_units(objects: Make, boxes: list[tuple[float, ...]], text: str) -> None:
    (found,) = said(objects([[("cat", *box) for box in boxes]] * 3, ["cat"]))
    assert re.search(text, found), found


@pytest.mark.parametrize(
    "boxes",
    [
        [(0, 0, 64, 48)],  # the whole picture
        [(0, 0, 64.9, 48.9)],  # rounded up
        [(40, 30, 40, 30), (2, 2, 20, 20)],  # leaves the picture, but not by sizes that could be corners
        [(0, 0, 1, 1)] + [(5, 5, 50, 40)] * 20,  # one small box
    ],
)
def test_boxes_that_are_what_they_say(objects: Make, boxes: list[tuple[float, ...]]) -> None:
    assert said(objects([[("cat", *box) for box in boxes]] * 3, ["cat"])) == []


def test_one_class_holds_everything(objects: Make, masks: Make, folders: Make) -> None:
    cats = [("cat", 5, 5, 40, 40)] * 24
    (text,) = said(objects([[*cats, ("dog", 5, 5, 40, 40)]]))
    assert text.startswith("training data: 96.0 % of the objects are cat, of 2 classes (")
    assert said(objects([[*cats[:18], ("dog", 5, 5, 40, 40)]], name="less")) == []
    assert said(masks([[0] * 31 + [1]])) == []  # a background is large
    assert "96.8 % of the images are cat" in said(folders({"cat": 30, "dog": 1}))[0]


def test_more_than_a_tenth_left_out(objects: Make, folders: Make) -> None:
    good, bad = ("cat", 5, 5, 40, 40), {"bbox": [1, 1, 0, 0]}
    assert any("3 of 15 objects are left out" in text for text in said(objects([[good] * 4 + [bad]] * 3, ["cat"])))
    assert said(objects([[good] * 12 + [bad]] * 3, ["cat"], name="few")) == []
    assert any("2 of 9 images are left out" in text for text in said(folders({"a": 3, "b": 4, "c": 2}, broken="c")))


def test_most_pixels_do_not_count(masks: Make) -> None:
    assert "67.2 % of the pixels are 255" in said(masks([[0, 255, 255], [1, 255, 255]]))[0]


def test_pictures_of_both_splits(objects: Make) -> None:
    box = [("cat", 5, 5, 40, 40)]
    train, other = objects([box] * 4), objects([box] * 2, name="other", seed=50)
    assert suspicious_pictures(train, other) == []
    val = objects([box] * 3, name="val", seed=2)  # the third and fourth of training, and one of its own
    (text,) = suspicious_pictures(train, val)
    assert text.startswith("2 of 3 validation pictures are training pictures, too: ")
    assert "train/3.png = " in text


def test_a_picture_with_two_annotations(objects: Make, folders: Make) -> None:
    first = objects([[("cat", 5, 5, 40, 40)]])
    (_, text) = suspicious_pictures(first, objects([[("dog", 5, 5, 40, 40)]], name="val"))
    assert text.startswith("1 pictures occur twice with different annotations: ")
    dataset = folders({"cat": 2, "dog": 2}, name="classes")
    assert suspicious_pictures(dataset, None) == []
    shutil.copy(dataset.records[0].file, dataset.records[2].file)
    (text,) = suspicious_pictures(dataset, None)
    assert "cat/0.png = " in text
