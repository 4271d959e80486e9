"""Boxes as files have them: what makes one unusable, and the part of it that lies inside its image."""

import math
from collections.abc import Sequence
from numbers import Integral, Real
from typing import TypeVar

from mvdet.data.io.faults import Fault

Box = tuple[float, float, float, float]
Number = TypeVar("Number", int, float)


def is_whole_number(value: object) -> bool:
    """An integer, of Python or numpy, that is not a bool."""
    return type(value) is int or (isinstance(value, Integral) and not isinstance(value, bool))


def is_finite_number(value: object) -> bool:
    """A number, of Python or numpy, that is not a bool, not infinite and not NaN."""
    if type(value) is float:  # most are, and the general question takes several times as long
        return math.isfinite(value)
    try:
        return isinstance(value, Real) and not isinstance(value, bool) and math.isfinite(value)
    except OverflowError:  # a whole number beyond what a float holds
        return False


def bbox_fault(bbox: object) -> tuple[Fault, str] | None:
    """What is wrong with a value as a COCO `bbox`: the reason and a sentence, or None if nothing is.

    A width or height of 0 is allowed here: COCO's own files have such boxes, and its metrics count them.
    """
    if (
        not isinstance(bbox, Sequence)
        or isinstance(bbox, str)
        or len(bbox) != 4
        or not all(map(is_finite_number, bbox))
    ):
        return Fault.NOT_A_BOX, f"bbox must be 4 finite numbers [x, y, width, height], got {bbox!r}"
    if bbox[2] < 0 or bbox[3] < 0:
        return Fault.NO_AREA, f"bbox must have a width and height of 0 or more, got {list(bbox)!r}"
    return None


def box_edges(box_xywh: Box) -> Box:
    """COCO's left, top, width and height as xyxy, in the same unit."""
    x, y, width, height = box_xywh
    return x, y, x + width, y + height


def box_fault(box: Sequence[float], width: int, height: int) -> Fault | None:
    """What makes a box unusable in its image, if anything.

    Args:
        box: xyxy in pixels, edges from 0.
        width: of the image, in pixels.
        height: of the image, in pixels.
    """
    if len(box) != 4 or not all(math.isfinite(value) for value in box):
        return Fault.NOT_A_BOX
    x1, y1, x2, y2 = box
    if x2 <= x1 or y2 <= y1:
        return Fault.NO_AREA
    if x2 <= 0 or y2 <= 0 or x1 >= width or y1 >= height:
        return Fault.OUTSIDE
    return None


def looks_like_corners(box_xywh: Box, width: int, height: int) -> bool:
    """Whether a box that should be left, top, width and height leaves its image, and would not as xyxy."""
    x, y, w, h = box_xywh
    leaves = x + w > width + 1 or y + h > height + 1  # one pixel: tools round
    return leaves and x < w <= width + 1 and y < h <= height + 1


def clip_box(
    box: tuple[Number, Number, Number, Number], width: int, height: int
) -> tuple[Number, Number, Number, Number]:
    """The part of an xyxy box, or window of whole pixels, that lies inside an image of `width` x `height` pixels.

    Of a box outside the image, what is returned ends before it begins.
    """
    x1, y1, x2, y2 = box
    return max(x1, 0), max(y1, 0), min(x2, width), min(y2, height)
