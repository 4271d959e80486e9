"""Boxes and labels in pictures."""

from itertools import pairwise

import numpy as np
import pytest
from numpy.typing import NDArray

from mvdet.evaluation.predict.drawing import DetectedObject, class_colour, draw_detections

GREY = 100


def grey(height: int, width: int) -> NDArray[np.uint8]:
    return np.full((height, width, 3), GREY, np.uint8)


def drawn_area(picture: NDArray[np.uint8]) -> tuple[int, int, int, int]:
    rows, columns = np.nonzero((picture != GREY).any(axis=2))
    return int(columns.min()), int(rows.min()), int(columns.max()), int(rows.max())


def test_colours_are_told_apart() -> None:
    colours = [class_colour(label) for label in range(1, 81)]
    assert colours == [class_colour(label) for label in range(1, 81)]
    assert len(set(colours)) == 80
    for one, other in pairwise(colours):
        assert sum(abs(a - b) for a, b in zip(one, other, strict=True)) > 100


def test_the_box_lies_where_it_was_found() -> None:
    image = grey(200, 300)
    picture = draw_detections(image, [DetectedObject("cat", 1, 0.9, (100, 80, 200, 160))])
    assert (image == GREY).all()
    colour = class_colour(1)
    edges = picture[120, 100], picture[120, 199], picture[159, 150]
    assert all(tuple(pixel) == colour for pixel in edges)
    assert (picture[100:150, 110:190] == GREY).all()


@pytest.mark.parametrize("size", [(64, 64), (480, 640), (3000, 4000)])
def test_text_grows_with_the_picture(size: tuple[int, int]) -> None:
    height, width = size
    box = (0.3 * width, 0.5 * height, 0.6 * width, 0.9 * height)
    left, top, right, bottom = drawn_area(draw_detections(grey(height, width), [DetectedObject("cat", 1, 0.9, box)]))
    label_height = box[1] - top
    assert label_height >= max(12, 0.02 * (height * width) ** 0.5)
    assert 0 <= left < right < width
    assert bottom < height


def test_text_is_antialiased() -> None:
    picture = draw_detections(grey(480, 640), [DetectedObject("cat", 1, 0.9, (100, 100, 300, 300))])
    assert len(np.unique(picture[80:99, 100:160].reshape(-1, 3), axis=0)) > 10


def test_long_names_are_shortened_and_stay_inside() -> None:
    short, long = (
        draw_detections(grey(60, 90), [DetectedObject(name, 1, 0.87, (50, 30, 89, 59))]) for name in ("c", "c" * 90)
    )
    assert drawn_area(long)[2] <= 89
    assert drawn_area(long)[0] < drawn_area(short)[0]


@pytest.mark.parametrize(
    "box", [(-20, -20, 400, 400), (299.6, 199.7, 300, 200), (10, 10, 10, 10), (310, 210, 320, 220)]
)
def test_boxes_at_and_over_the_edge(box: tuple[float, float, float, float]) -> None:
    picture = draw_detections(grey(200, 300), [DetectedObject("cat", 1, 0.9, box)])
    assert picture.shape == (200, 300, 3)
    assert (picture != GREY).any()


def test_labels_of_one_place_do_not_cover_each_other() -> None:
    objects = [DetectedObject(name, label, 0.9, (100, 100, 300, 300)) for label, name in ((1, "cat"), (2, "dog"))]
    picture = draw_detections(grey(480, 640), objects).reshape(-1, 3)
    for label in (1, 2):
        assert (picture == class_colour(label)).all(axis=1).sum() > 300


def test_nothing_found_changes_nothing() -> None:
    assert (draw_detections(grey(50, 50), []) == GREY).all()
