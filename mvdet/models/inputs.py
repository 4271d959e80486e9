"""What data sets give, as networks expect it, and what detectors answer, in the pixels of the stored images."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn


def as_input(images: Tensor | Sequence[Tensor]) -> Tensor | list[Tensor]:
    """uint8 pixels, [B, C, H, W] or a list of [C, H, W], as the networks expect them: float in [0, 1]."""
    if isinstance(images, Tensor):
        return (images.float() / 255).contiguous(memory_format=torch.channels_last)
    return [image.float() / 255 for image in images]


def call_detector(
    model: nn.Module, images: Tensor | Sequence[Tensor], targets: Sequence[dict[str, Tensor]] | None = None
) -> Any:
    """Call a detector, ours or torchvision's, with uint8 images [B, 3, H, W] or a list of [3, H, W].

    Returns:
        What the detector does: losses in training mode, detections otherwise.
    """
    inputs = as_input(images)
    # torchvision's own detectors take lists only
    is_list = isinstance(inputs, list) or type(model).__module__.startswith("torchvision.")
    return model(list(inputs) if is_list else inputs, targets)


def detect(
    model: nn.Module, images: Tensor | Sequence[Tensor], orig_sizes: Sequence[tuple[int, int]]
) -> list[dict[str, Tensor]]:
    """Detections in the pixels of the stored images.

    Args:
        model: a detector in evaluation mode.
        images: [B, 3, H, W] uint8, or a list of [3, H, W].
        orig_sizes: height and width of each image as it is stored.

    Returns:
        For each image `boxes` [n, 4] xyxy, `labels` [n] and `scores` [n].
    """
    found: list[dict[str, Tensor]] = call_detector(model, images)
    for image, detections, (height, width) in zip(images, found, orig_sizes, strict=True):
        ratio = [width / image.shape[-1], height / image.shape[-2]]
        detections["boxes"] = detections["boxes"] * detections["boxes"].new_tensor(ratio * 2)
    return found
