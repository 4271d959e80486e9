from collections.abc import Callable
from typing import Any

from mvdet.data.inspection.statistics import TRAINING, statistics_of
from mvdet.data.io.faults import Fault

Make = Callable[..., Any]


def test_objects(objects: Make) -> None:
    crowd, broken = {"iscrowd": 1}, {"bbox": [1, 1, 0, 0]}
    dataset = objects([[("cat", 0, 0, 10, 10), ("cat", 0, 0, 40, 40), ("dog", 1, 1, 5, 5)], [crowd], [], [broken]])
    found = statistics_of(dataset, TRAINING)
    assert (found.unit, found.images, found.empty, found.not_counted) == ("objects", 4, 3, 1)
    assert found.per_class == {"cat": 2, "dog": 1}
    assert found.images_with == {"cat": 1, "dog": 1}
    assert found.sizes == {"small": 2, "medium": 1, "large": 0}
    assert found.left_out == {Fault.NO_AREA: 1}
    assert found.shares_left_out == {"images": (0, 4), "objects": (1, 5)}
    assert found.line() == "training data: 4 images (3 without objects), 3 objects, 2 classes: cat, dog"


def test_pixels(masks: Make) -> None:
    found = statistics_of(masks([[0, 1, 255, 255], [0]], ["background", "a", "b"]), TRAINING)
    assert found.per_class == {"background": 48 * 80, "a": 48 * 16, "b": 0}
    assert found.images_with == {"background": 2, "a": 1, "b": 0}
    assert (found.unit, found.total, found.not_counted, found.missing) == ("pixels", 48 * 96, 48 * 32, ["b"])


def test_images(folders: Make) -> None:
    found = statistics_of(folders({"cat": 3, "dog": 2}, broken="dog"), TRAINING)
    assert (found.per_class, found.images, found.missing) == ({"cat": 3, "dog": 0}, 3, ["dog"])
    assert found.shares_left_out == {"images": (2, 5)}
    assert found.line() == "training data: 3 images, 2 classes: cat, dog"


def test_what_is_left_out_is_set_against_the_whole(objects: Callable[..., Any]) -> None:
    part = objects([[("cat", 1, 1, 9, 9), ("dog", 1, 1, 0, 0)]] * 8).restricted([0, 1])
    assert part.part == 0.25
    assert statistics_of(part, TRAINING).shares_left_out == {"images": (0, 8), "objects": (8, 16)}
