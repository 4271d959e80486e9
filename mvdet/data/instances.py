"""The record that the renderer hands to the writers: one visible object in one picture."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

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
