"""YOLO label files: one text file an image, one row an object, coordinates as shares of width and height."""

from collections.abc import Sequence
from pathlib import Path

from mvdet.data.io.contours import Mask, join_contours, thin_contour, trace_contours


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
