"""What data sets give, as networks expect it."""

from collections.abc import Sequence

import torch
from torch import Tensor


def as_input(images: Tensor | Sequence[Tensor]) -> Tensor | list[Tensor]:
    """uint8 pixels as the networks expect them: float in [0, 1]."""
    if isinstance(images, Tensor):
        return (images.float() / 255).contiguous(memory_format=torch.channels_last)
    return [image.float() / 255 for image in images]
