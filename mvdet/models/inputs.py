"""What data sets give, as networks expect it."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from mvdet.models.trained import TrainedDetector, build_detector, find_model, load_checkpoint


def as_input(images: Tensor | Sequence[Tensor]) -> Tensor | list[Tensor]:
    """uint8 pixels as the networks expect them: float in [0, 1]."""
    if isinstance(images, Tensor):
        return (images.float() / 255).contiguous(memory_format=torch.channels_last)
    return [image.float() / 255 for image in images]


__all__ = ["TrainedDetector", "as_input", "build_detector", "call_detector", "detect", "find_detector", "load_detector"]


def find_detector(model: str | Path) -> TrainedDetector:
    """The detector that a `--model` argument means; argument and errors as `mvdet.models.trained.find_model`."""
    found = find_model(model, task="detection")
    assert isinstance(found, TrainedDetector)
    return found


def load_detector(checkpoint: str | Path) -> TrainedDetector:
    """The detector that a training run saved; argument and errors as `mvdet.models.trained.load_checkpoint`."""
    found = load_checkpoint(checkpoint, task="detection")
    assert isinstance(found, TrainedDetector)
    return found


def call_detector(
    model: nn.Module, images: Tensor | Sequence[Tensor], targets: Sequence[dict[str, Tensor]] | None = None
) -> Any:
    """Call a detector, ours or torchvision's, with uint8 images [B, 3, H, W] or a list of [3, H, W]."""
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
    """
    found = call_detector(model, images)
    for image, detections, (height, width) in zip(images, found, orig_sizes, strict=True):
        ratio = [width / image.shape[-1], height / image.shape[-2]]
        detections["boxes"] = detections["boxes"] * detections["boxes"].new_tensor(ratio * 2)
    return found
