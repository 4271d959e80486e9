"""Segmentation of images that are larger than what a network was trained on, window by window."""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn import functional as F

Stride = tuple[int, int]


def window_starts(length: int, window: int, stride: int) -> list[int]:
    """Where windows begin along a side of `length`, at least that of one window: at 0, `stride` apart, the last at the
    end, so that every pixel is covered; closer than `stride` to the one before where the length is no whole number of
    strides."""
    return [*range(0, length - window, stride), length - window]


def default_stride(window: tuple[int, int]) -> Stride:
    """Two thirds of a window, at least 1: MMSegmentation's choice (512 and 341) for its sliding windows."""
    return max(1, window[0] * 2 // 3), max(1, window[1] * 2 // 3)


def sliding_window_logits(
    logits_of: Callable[[Tensor], Tensor],
    images: Tensor,
    window: tuple[int, int],
    *,
    stride: Stride | None = None,
    batch_size: int = 4,
) -> Tensor:
    """Logits of every pixel from overlapping windows; where they overlap, the mean of their logits.

    An image with a side shorter than the window's is enlarged first, bilinearly and with its aspect ratio kept, until
    it holds a window: black borders, which the network was not trained on, would go into its image pooling. Larger
    images keep their resolution.

    Args:
        logits_of: a network, [N, C, *window] -> logits [N, K, h, w] of any size, which are stretched to the window's
            with corners aligned, as DeepLabV3's own are.
        images: [B, C, H, W] floating point.
        window: its height and width.
        stride: rows and columns from one window to the next, 1 up to the window's; None takes `default_stride`.
        batch_size: windows at a time.

    Returns:
        [B, K, H', W'] float32: H and W, enlarged where a side was too short.

    Raises:
        ValueError: a window or batch size below 1, or a stride out of range.
    """
    stride = default_stride(window) if stride is None else stride
    if min(window) < 1 or batch_size < 1:
        raise ValueError(f"window and batch_size must be at least 1, got {window} and {batch_size}")
    if not (1 <= stride[0] <= window[0] and 1 <= stride[1] <= window[1]):
        raise ValueError(f"stride must be between 1 and the window's {window}, got {stride}")
    images = _enlarged(images, window)
    count, _, height, width = images.shape
    corners = [
        (index, top, left)
        for index in range(count)
        for top in window_starts(height, window[0], stride[0])
        for left in window_starts(width, window[1], stride[1])
    ]
    total: Tensor | None = None
    covered = torch.zeros(1, 1, height, width, device=images.device)
    for start in range(0, len(corners), batch_size):
        part = corners[start : start + batch_size]
        crops = torch.stack([images[i, :, y : y + window[0], x : x + window[1]] for i, y, x in part])
        logits = F.interpolate(logits_of(crops).float(), size=window, mode="bilinear", align_corners=True)
        if total is None:
            total = logits.new_zeros(count, logits.shape[1], height, width)
        for one, (index, top, left) in zip(logits, part, strict=True):
            total[index, :, top : top + window[0], left : left + window[1]] += one
            covered[..., top : top + window[0], left : left + window[1]] += index == 0  # all images have the same
    assert total is not None
    return total / covered


def _enlarged(images: Tensor, window: tuple[int, int]) -> Tensor:
    """[B, C, H, W] that hold a window."""
    height, width = images.shape[-2:]
    scale = max(window[0] / height, window[1] / width)
    if scale <= 1:
        return images
    # Never a pixel short of the window, whatever the products round to.
    size = max(window[0], math.floor(height * scale + 0.5)), max(window[1], math.floor(width * scale + 0.5))
    return F.interpolate(images, size=size, mode="bilinear", align_corners=False)
