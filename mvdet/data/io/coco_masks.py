"""The `segmentation` of COCO json: polygons made from masks, and polygons and run lengths checked."""

from collections.abc import Sequence
from typing import Any

from mvdet.data.io.boxes import is_finite_number, is_whole_number
from mvdet.data.io.contours import Mask, join_contours, trace_contours


def mask_polygons(mask: Mask) -> list[list[int]]:
    """COCO polygons of a mask, one for each 4-connected piece, as `[x1, y1, x2, y2, ...]` in pixel edges.

    They follow the pixels, and a hole is joined to its piece by a line of no width, so pycocotools turns them back into
    exactly this mask.

    Args:
        mask: [H, W] boolean.
    """
    return [join_contours(piece).astype(int).reshape(-1).tolist() for piece in trace_contours(mask)]


def mask_problem(segmentation: object, height: int | None, width: int | None) -> str | None:
    """What is wrong with a `segmentation` for an image of this size in pixels; None if nothing is.

    Polygons, run lengths as a list, and compressed run lengths are fine.
    """
    if height is None or width is None:
        return "masks need the width and height of their image in the ground truth"
    if isinstance(segmentation, list):
        return _polygons_problem(segmentation)
    if not isinstance(segmentation, dict) or "counts" not in segmentation:
        return f"segmentation must be polygons or run lengths {{'size', 'counts'}}, got {_short(segmentation)}"
    if segmentation.get("size") != [height, width]:
        return f"mask of size {segmentation.get('size')} in an image of [height, width] {[height, width]}"
    counts = segmentation["counts"]
    if isinstance(counts, str | bytes):
        try:
            counts = run_lengths(counts)
        except ValueError as error:
            return str(error)
    if not isinstance(counts, list) or not all(is_whole_number(run) and run >= 0 for run in counts):
        return f"run lengths must be whole numbers of 0 or more, got {_short(counts)}"
    if sum(counts) != height * width:
        return f"run lengths cover {sum(counts)} pixels of {height * width}"
    return None


def run_lengths(counts: str | bytes) -> list[int]:
    """Lengths of the runs of 0 and 1 in turn, column by column, from COCO's compressed text.

    The format is that of `rleFrString` in cocoapi's `common/maskApi.c`: five bits and a continuation bit per character,
    the last character's highest bit for the sign; from the fourth number on, differences to the last but one.

    Raises:
        ValueError: a character that does not occur in such a text, or the text ends within a number.
    """
    text = counts.encode() if isinstance(counts, str) else counts
    runs: list[int] = []
    value = shift = 0
    for character in text:
        bits = character - 48
        if not 0 <= bits < 64:
            raise ValueError(f"compressed run lengths consist of the characters 0 to o, got {_short(counts)}")
        value |= (bits & 0x1F) << shift
        shift += 5
        if not bits & 0x20:
            if bits & 0x10:
                value -= 1 << shift
            runs.append(value + runs[-2] if len(runs) > 2 else value)
            value = shift = 0
    if shift:
        raise ValueError(f"compressed run lengths end within a number: {_short(counts)}")
    return runs


def _polygons_problem(polygons: Sequence[Any]) -> str | None:
    # pycocotools takes four numbers for a box.
    whole = all(isinstance(polygon, list) and len(polygon) >= 6 and len(polygon) % 2 == 0 for polygon in polygons)
    if polygons and whole and all(is_finite_number(value) for polygon in polygons for value in polygon):
        return None
    return f"polygons must have three points [x, y, ...] or more, got {_short(polygons)}"


def _short(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:57]}..."
