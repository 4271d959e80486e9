"""Polygons of masks along pixel edges: exact, thinned out, and joined into one.

Coordinates are pixel edges: the pixel in column 3 reaches from x = 3 to x = 4. A polygon's extremes therefore are the
mask's box, and a polygon rasterised by pycocotools gives back the mask it came from.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import cv2
import numpy as np
from numpy.typing import NDArray

Mask = NDArray[np.bool_]
Image = NDArray[np.uint8]


def mask_box(mask: Mask) -> tuple[int, int, int, int]:
    """Smallest box around a mask, as pixel edges.

    Args:
        mask: [H, W] boolean.

    Returns:
        `(x1, y1, x2, y2)` in pixels: `x1`, `y1` are the first column and row that the mask touches, `x2`, `y2` one past
        the last, so that `x2 - x1` is the width.

    Raises:
        ValueError: the mask is empty or not two-dimensional.
    """
    if mask.ndim != 2:
        raise ValueError(f"mask must have shape [H, W], got shape {mask.shape}")
    columns = np.flatnonzero(mask.any(axis=0))
    rows = np.flatnonzero(mask.any(axis=1))
    if not len(columns):
        raise ValueError(f"mask of shape {mask.shape} is empty, it has no box")
    return int(columns[0]), int(rows[0]), int(columns[-1]) + 1, int(rows[-1]) + 1


@dataclass(frozen=True, eq=False)
class Instance:
    """One object of one picture: what can be seen of it.

    Attributes:
        label: class index, 0-based, without a background class.
        mask: [H, W] boolean, the visible part only; never empty.
        box: `mask_box(mask)`, xyxy pixel edges.
        truncated: part of the object lies outside the picture.
        occluded: part of the object lies under another one.
    """

    label: int
    mask: Mask
    box: tuple[int, int, int, int]
    truncated: bool = False
    occluded: bool = False

    @property
    def area(self) -> int:
        """Number of visible pixels."""
        return int(np.count_nonzero(self.mask))


def class_mask(instances: Sequence[Instance], height: int, width: int) -> NDArray[np.uint8]:
    """The class of every pixel, [height, width]: 0 where there is no object, `label + 1` on one."""
    classes = np.zeros((height, width), dtype=np.uint8)
    for instance in instances:
        classes[instance.mask] = instance.label + 1
    return classes


Polygon = NDArray[np.float64]

THINNING_PX = 0.6
"""How far a thinned contour may stray: a compromise between few points and a polygon that still is the mask."""


def trace_contours(mask: Mask) -> list[list[Polygon]]:
    """Outline of every 4-connected piece of a mask and of the holes in it.

    Args:
        mask: [H, W] boolean.

    Returns:
        One list per piece: its outer contour first (clockwise on the screen), then its holes (the other way round).
        A contour is [N, 2] float64, the x, y of its corners in whole pixels, horizontal and vertical edges in turn,
        not closed by a repeated point. No piece for an empty mask.

    Raises:
        ValueError: the mask is not two-dimensional.
    """
    if mask.ndim != 2:
        raise ValueError(f"mask must have shape [H, W], got shape {mask.shape}")
    if not mask.any():
        return []
    x1, y1, x2, y2 = mask_box(mask)
    mask = mask[y1:y2, x1:x2]
    corner = np.array([x1, y1], dtype=np.float64)
    _, pieces = cv2.connectedComponents(mask.astype(np.uint8), connectivity=4)
    outer: dict[int, Polygon] = {}
    holes: dict[int, list[Polygon]] = {}
    for loop in _trace_loops(mask):
        x, y = (int(value) for value in loop[0])  # the loop's topmost, then leftmost corner; its first edge goes right
        if mask[y, x]:
            outer[int(pieces[y, x])] = loop
        else:  # the pixel below the first edge is outside, so the one above it is the piece that has the hole
            holes.setdefault(int(pieces[y - 1, x]), []).append(np.concatenate([loop[:1], loop[:0:-1]]))
    return [[loop + corner for loop in (contour, *holes.get(piece, ()))] for piece, contour in outer.items()]


def thin_contour(contour: Polygon, tolerance: float = THINNING_PX) -> Polygon:
    """Turn the stairs of a contour into straight lines, without moving its extremes: the box stays exact.

    Corners are cut half a pixel from their tips, which puts a stair's points on both sides of the line it stands for;
    then points are left out that a straight line replaces.

    Args:
        contour: [N, 2], as `trace_contours` gives it: horizontal and vertical edges in turn.
        tolerance: how far, in pixels, a point left out may lie from the line.

    Returns:
        [M, 2] float64, M >= 4, multiples of half a pixel; the same smallest and largest x and y as the contour's.
    """
    doubled = np.rint(2 * contour).astype(np.int32)  # in half pixels, because approxPolyDP is exact for integers only
    following = np.roll(doubled, -1, axis=0)
    step = np.sign(following - doubled)
    cut = np.stack([doubled + step, following - step], axis=1).reshape(-1, 2)  # both ends of each edge, moved inwards
    cut = cut[(cut != np.roll(cut, 1, axis=0)).any(axis=1)]  # they coincide on an edge one pixel long
    x, y = cut[:, 0], cut[:, 1]
    stops = sorted({int(index) for index in (x.argmin(), y.argmin(), x.argmax(), y.argmax())})
    closed = np.concatenate([np.roll(cut, -stops[0], axis=0), cut[stops[0] : stops[0] + 1]])
    ends = [stop - stops[0] for stop in stops] + [len(cut)]
    arcs = [
        cv2.approxPolyDP(closed[start : end + 1].reshape(-1, 1, 2), 2 * tolerance, False).reshape(-1, 2)[:-1]
        for start, end in pairwise(ends)
    ]
    return np.concatenate(arcs) / 2.0


def join_contours(contours: list[Polygon]) -> Polygon:
    """Join several contours into one closed line by bridges of no width.

    Each contour is attached where it comes nearest to what is joined already. The line runs over a bridge twice, there
    and back, so a bridge encloses no area, and holes stay holes under the even-odd rule.

    Args:
        contours: [N_i, 2] each, at least one, not closed by a repeated point.

    Returns:
        [sum(N_i) + 2 * bridges, 2], not closed. Its even-odd inside is that of the contours.

    Raises:
        ValueError: no contour.
    """
    if not contours:
        raise ValueError("join_contours needs at least one contour, got an empty list")
    joined = contours[0]
    rest = list(contours[1:])
    while rest:
        candidates = [_nearest_corners(joined, contour) for contour in rest]
        chosen = min(range(len(rest)), key=lambda index: candidates[index][0])
        _, here, there = candidates[chosen]
        detour = np.roll(rest.pop(chosen), -there, axis=0)
        joined = np.concatenate([joined[: here + 1], detour, detour[:1], joined[here:]])
    return joined


def _nearest_corners(first: Polygon, second: Polygon) -> tuple[float, int, int]:
    """Squared distance of the nearest pair of corners, and the pair's indices."""
    squared = ((first[:, None, :] - second[None, :, :]) ** 2).sum(axis=2)  # [N, M]
    here, there = divmod(int(squared.argmin()), len(second))
    return float(squared[here, there]), here, there


def _trace_loops(mask: Mask) -> list[Polygon]:
    """Closed rectilinear loops around a mask that is not empty.

    Each starts at its topmost, then leftmost corner, and goes right first.

    In a row of pixel edges the corners pair up, first with second, third with fourth, as the ends of horizontal edges;
    in a column, as the ends of vertical ones. Following the two kinds of edge in turn closes every loop.
    """
    around = np.pad(mask, 1).astype(np.int8)
    top_left, top_right = around[:-1, :-1], around[:-1, 1:]
    bottom_left, bottom_right = around[1:, :-1], around[1:, 1:]
    inside = top_left + top_right + bottom_left + bottom_right  # [H + 1, W + 1], one per pixel corner
    falling = (inside == 2) & (top_left == bottom_right) & (top_left == 1)  # two pixels touch diagonally: \
    rising = (inside == 2) & (top_left == bottom_right) & (top_left == 0)  # and: /
    count = (inside == 1) | (inside == 3) | falling | rising
    y, x = np.nonzero(count)
    # A corner where pixels touch diagonally is two corners, one for each pixel: in a row, left comes before right; in a
    # column, the upper one first, which is the left one for \ and the right one for /.
    twice = (falling | rising)[y, x]
    y, x = np.repeat(y, 1 + twice), np.repeat(x, 1 + twice)  # np.nonzero's order: by rows, as horizontal pairs need
    second = np.concatenate([[False], (y[1:] == y[:-1]) & (x[1:] == x[:-1])])
    column_rank = np.where(rising[y, x], ~second, second)
    by_columns = np.lexsort((column_rank, y, x))
    vertical = np.empty(len(y), dtype=np.int64)
    vertical[by_columns[0::2]], vertical[by_columns[1::2]] = by_columns[1::2], by_columns[0::2]
    across: list[int] = vertical.tolist()
    corners = np.stack([x, y], axis=1).astype(np.float64)

    loops: list[Polygon] = []
    seen = [False] * len(y)
    for start in range(0, len(y), 2):  # even places are left ends of horizontal edges
        if seen[start]:
            continue
        loop: list[int] = []
        corner = start
        while not seen[corner]:
            other = corner ^ 1  # the far end of the horizontal edge
            seen[corner] = seen[other] = True
            loop += (corner, other)
            corner = across[other]
        loops.append(corners[loop])
    return loops
