"""Gradients in the memory layout of the maps."""

from typing import Any

import torch
from torch import Tensor

from mvdet.backbones.tokens import exporting


class _ChannelsLastGradient(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        return x.view_as(x)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Tensor:
        return gradients[0].contiguous(memory_format=torch.channels_last)


def with_channels_last_gradient(x: Tensor) -> Tensor:
    """`x` [B, C, H, W], whose gradient is laid out in channels_last before it goes on.

    Many losses give a gradient in the default layout (that of a mean, for one). Where it meets maps in channels_last,
    PyTorch's kernels fall back to strided ones, and the mixture goes on through all earlier layers.
    """
    if exporting() or not (torch.is_grad_enabled() and x.requires_grad):
        return x
    out: Tensor = _ChannelsLastGradient.apply(x)
    return out
