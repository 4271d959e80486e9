import math

import numpy as np
import pytest

from mvdet.data.io.boxes import bbox_fault, box_edges, box_fault, clip_box, is_finite_number, is_whole_number
from mvdet.data.io.faults import Fault


@pytest.mark.parametrize(
    ("value", "whole", "finite"),
    [
        (3, True, True),
        (np.int64(3), True, True),
        (3.0, False, True),
        (np.float32(0.5), False, True),
        (True, False, False),
        ("3", False, False),
        (None, False, False),
        (math.nan, False, False),
        (-math.inf, False, False),
    ],
)
def test_numbers(value: object, whole: bool, finite: bool) -> None:
    assert (is_whole_number(value), is_finite_number(value)) == (whole, finite)


@pytest.mark.parametrize(
    ("bbox", "fault"),
    [
        ([1, 2.5, 0, 4], None),
        ((1, 2, 3, 4), None),
        ([1, 2, 3], Fault.NOT_A_BOX),
        ("1234", Fault.NOT_A_BOX),
        (None, Fault.NOT_A_BOX),
        ([1, 2, 3, math.nan], Fault.NOT_A_BOX),
        ([1, 2, -3, 4], Fault.NO_AREA),
    ],
)
def test_coco_boxes(bbox: object, fault: Fault | None) -> None:
    found = bbox_fault(bbox)
    assert (found and found[0]) == fault


def test_edges() -> None:
    assert box_edges((1.5, 2, 10, 20)) == (1.5, 2, 11.5, 22)


@pytest.mark.parametrize(
    ("box", "fault"),
    [
        ((0, 0, 64, 48), None),
        ((63, 47, 64, 48), None),
        ((-5, -5, 1, 1), None),
        ((-5, -5, 100, 100), None),
        ((10, 10, 10, 20), Fault.NO_AREA),
        ((10, 20, 15, 20), Fault.NO_AREA),
        ((15, 10, 10, 20), Fault.NO_AREA),
        ((-5, 0, 0, 10), Fault.OUTSIDE),
        ((64, 0, 70, 10), Fault.OUTSIDE),
        ((0, -9, 10, 0), Fault.OUTSIDE),
        ((0, 48, 10, 50), Fault.OUTSIDE),
        ((math.nan, 0, 10, 10), Fault.NOT_A_BOX),
        ((0, 0, math.inf, 10), Fault.NOT_A_BOX),
        ((0, 0, 10), Fault.NOT_A_BOX),
    ],
)
def test_boxes(box: tuple[float, ...], fault: Fault | None) -> None:
    assert box_fault(box, 64, 48) == fault


def test_boxes_are_clipped() -> None:
    assert clip_box((-5, 3, 100, 100), 64, 48) == (0, 3, 64, 48)
    assert clip_box((1, 2, 3, 4), 64, 48) == (1, 2, 3, 4)
