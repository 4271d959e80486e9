from collections.abc import Callable
from typing import Any

import pytest

from mvdet.data.inspection.problems import problems
from mvdet.data.inspection.statistics import TRAINING, VALIDATION, statistics_of

Make = Callable[..., Any]


def said(dataset: Any, split: str = TRAINING) -> str:
    return "; ".join(problems(statistics_of(dataset, split)))


@pytest.mark.parametrize("split", [TRAINING, VALIDATION])
@pytest.mark.parametrize(
    ("item", "reason"),
    [
        (None, "; the annotations hold none"),
        ({"bbox": [1, 1, 0, 0]}, "; left out: box without area 2"),
        ({"bbox": ["1", "1", "9", "9"]}, "; left out: box that is not four numbers 2"),
        ({"iscrowd": 1}, "; the 2 there are crowds or marked as difficult, which do not count"),
        ({"category_id": 7}, "; left out: unknown category 2; --class-names says which classes the files have"),
    ],
)
def test_no_usable_object(objects: Make, item: Any, reason: str, split: str) -> None:
    dataset = objects([[item] if item else []] * 2)
    assert said(dataset, split) == f"{split} data: not one usable object in 2 images, of the classes cat, dog{reason}"


def test_one_object_is_enough(objects: Make) -> None:
    assert said(objects([[("cat", 1, 1, 9, 9)], []])) == ""


@pytest.mark.parametrize("split", [TRAINING, VALIDATION])
@pytest.mark.parametrize(
    ("values", "end"),
    [
        ([0, 255], "background alone, and 255, which does not count: 0/255 masks? --mask-values 0 255 makes 255 the"),
        ([1, 255], "thing alone, and 255, which does not count: 0/255 masks?"),
        ([0, 0], "background alone"),
        ([255], "not one pixel, but 255 alone, which does not count"),
    ],
)
def test_masks_without_anything_to_tell_apart(masks: Make, values: list[int], end: str, split: str) -> None:
    assert said(masks([values, values]), split).startswith(
        f"{split} data: of background, thing, the 2 masks hold {end}"
    )


def test_masks_to_learn_from(masks: Make) -> None:
    assert said(masks([[0, 0], [1, 255]])) == ""
    assert said(masks([[0, 255]], name="grey", mask_values=(0, 255))) == ""


def test_one_class_of_pictures(folders: Make) -> None:
    wanted = "training data: 3 images, all of cat: no other class to tell it from"
    assert said(folders({"cat": 3})) == wanted
    assert said(folders({"cat": 3, "dog": 2}, name="broken", broken="dog")) == wanted
    assert said(folders({"cat": 3, "dog": 2}, name="val", broken="dog"), VALIDATION) == ""
    assert said(folders({"cat": 3}, name="val1"), VALIDATION) != ""
    assert said(folders({"cat": 1, "dog": 1}, name="two")) == ""
