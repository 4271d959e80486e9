"""YOLO label files: one text file an image, one row an object, coordinates as shares of width and height."""

import math
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from mvdet.data.io.boxes import Box
from mvdet.data.io.contours import Mask, join_contours, thin_contour, trace_contours
from mvdet.data.io.listing import is_file
from mvdet.data.io.text import read_text

_TOLERANCE = 0.01  # that shares may be beyond 0 and 1: what rounding and sloppy clipping leave


class LabelRow(NamedTuple):
    """One row: its line number from 1, the class, and the box xyxy as shares of width and height, or what is wrong."""

    number: int
    label: int
    box: Box | str


def label_file(image: Path) -> Path:
    """The label file of an image: `labels` for the last `images` among its folders; beside it where there is none."""
    parts = list(image.parts)
    places = [place for place, part in enumerate(parts[:-1]) if part == "images"]
    if places:
        parts[places[-1]] = "labels"
    mirrored = Path(*parts).with_suffix(".txt")
    beside = image.with_suffix(".txt")
    return beside if not is_file(mirrored) and is_file(beside) else mirrored


def read_labels(file: Path) -> list[LabelRow]:
    """The rows of a label file: `label cx cy w h`, or `label x1 y1 x2 y2 x3 y3 ...`, a polygon, taken as its box.

    Raises:
        FileNotFoundError: no such file.
        ValueError: not text; names the file.
    """
    lines = [(number, line.split()) for number, line in enumerate(read_text(file).splitlines(), start=1)]
    return [_read_row(number, words) for number, words in lines if words]


def _read_row(number: int, words: list[str]) -> LabelRow:
    text = " ".join(words[:9]) + (" ..." if len(words) > 9 else "")
    try:
        label, *values = (float(word) for word in words)
    except ValueError:
        return LabelRow(number, -1, f"numbers wanted, got {text!r}")
    if not all(map(math.isfinite, (label, *values))) or label != int(label) or label < 0:
        return LabelRow(number, -1, f"a class number of 0 or more and finite numbers wanted, got {text!r}")
    if len(values) != 4 and (len(values) < 6 or len(values) % 2):
        what = f"a class and 4 numbers, or 3 points or more, wanted; got {len(words)} numbers: {text!r}"
        return LabelRow(number, int(label), what)
    if not all(-_TOLERANCE <= value <= 1 + _TOLERANCE for value in values):
        return LabelRow(number, int(label), f"shares of width and height, 0 to 1, wanted; got {text!r}")
    if len(values) == 4:
        cx, cy, width, height = values
        return LabelRow(number, int(label), (cx - width / 2, cy - height / 2, cx + width / 2, cy + height / 2))
    xs, ys = values[::2], values[1::2]
    return LabelRow(number, int(label), (min(xs), min(ys), max(xs), max(ys)))


def box_row(label: int, box: tuple[float, float, float, float], width: int, height: int) -> str:
    """A detection row: `label cx cy w h`.

    Args:
        label: class index, 0-based.
        box: xyxy pixel edges, inside the image.
        width: of the image, in pixels.
        height: of the image, in pixels.

    Raises:
        ValueError: the box has no area or reaches out of the image.
    """
    x1, y1, x2, y2 = box
    if not (0 <= x1 < x2 <= width and 0 <= y1 < y2 <= height):
        raise ValueError(f"box {box} must have an area and lie inside the image of {width} x {height} pixels")
    shares = ((x1 + x2) / 2 / width, (y1 + y2) / 2 / height, (x2 - x1) / width, (y2 - y1) / height)
    return " ".join([str(label), *(_share(value) for value in shares)])


def polygon_row(label: int, mask: Mask) -> str:
    """A segmentation row, `label x1 y1 x2 y2 ...`, which serves detection too: its extremes are the mask's exact box.

    An object in several pieces, or with holes, is one row: the outlines are thinned and joined by lines of no width.

    Args:
        label: class index, 0-based.
        mask: [H, W] boolean, not empty.

    Raises:
        ValueError: the mask is empty.
    """
    if not mask.any():
        raise ValueError(f"mask of shape {mask.shape} is empty, it has no outline")
    height, width = mask.shape
    outline = join_contours([thin_contour(contour) for piece in trace_contours(mask) for contour in piece])
    points = [
        _share(value / size) for point in outline.tolist() for value, size in zip(point, (width, height), strict=True)
    ]
    return " ".join([str(label), *points])


def write_labels(file: Path, rows: Sequence[str]) -> None:
    """Write a label file; an image without objects gets an empty one."""
    file.write_text("".join(f"{row}\n" for row in rows), encoding="utf-8")


def _share(value: float) -> str:
    """A share as text with six decimals, which is within 1e-3 pixels in images of up to 2000 pixels."""
    return f"{value:.6f}".rstrip("0").rstrip(".")
