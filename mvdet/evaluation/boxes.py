"""Overlap of boxes as COCO writes them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from pycocotools import mask as mask_api

from mvdet.evaluation.ground_truth import Box


def box_iou(
    boxes_xywh: Sequence[Box | list[float]],
    others_xywh: Sequence[Box | list[float]],
    others_crowd: Sequence[bool] | None = None,
) -> NDArray[np.float64]:
    """IoU of every box with every other one; 0 where one has no area.

    Args:
        boxes_xywh: n boxes in pixels.
        others_xywh: m boxes in pixels.
        others_crowd: m flags; with a crowd, it is the share of the box that lies in the crowd.

    Returns:
        [n, m] float64.
    """
    n, m = len(boxes_xywh), len(others_xywh)
    if not n or not m:
        return np.zeros((n, m))
    crowd = [int(flag) for flag in others_crowd] if others_crowd is not None else [0] * m
    first, second = (np.array(boxes, dtype=np.float64) for boxes in (boxes_xywh, others_xywh))
    return np.asarray(mask_api.iou(first, second, crowd), dtype=np.float64).reshape(n, m)
