"""What inference on a CPU gains from, beside folded normalisation; `mvdet.backbones.fusing.fuse` alone puts it in.

docs/benchmarks.md says what each of them gives.
"""

import ctypes
import sys

import torch
from torch import Tensor, nn

from mvdet.backbones.layers import InvertedResidual
from mvdet.backbones.tokens import exporting

# Of the expanded map that goes through a block at a time: a few times what second-level caches hold.
_SLICE_BYTES = 8 * 2**20

# Parameters of mallopt(3), from glibc's malloc.h
_M_TRIM_THRESHOLD = -1
_M_MMAP_THRESHOLD = -3
_KEPT_BYTES = 2**28
_LARGEST_KEPT_BLOCK = 2**25  # bytes; glibc takes no more (DEFAULT_MMAP_THRESHOLD_MAX on 64-bit systems)


class CPUInvertedResidual(InvertedResidual):
    """An inverted residual that takes a few images at a time, or a few rows of one image.

    A large expanded map falls out of the cache between one layer and the next. Parameters, keys and numbers are those
    of the plain block, which it computes as where a gradient or a graph is recorded, and on every other device. Hooks
    on the layers inside see the parts. The class path is part of fused checkpoints: it stays.
    """

    def forward(self, x: Tensor) -> Tensor:
        """[B, in_channels, H, W] -> [B, out_channels, ceil(H / stride), ceil(W / stride)]."""
        if not _infers_on_cpu(x):
            return super().forward(x)
        height, width = x.shape[2:]
        rows = _SLICE_BYTES // max(1, width * self.expand.conv.out_channels * x.element_size())
        if rows >= len(x) * height:
            return self._rows(x, 0, self._out_height(x))
        if rows >= height:
            return torch.cat([self._rows(images, 0, self._out_height(x)) for images in x.split(rows // height)])
        step = max(1, rows // self.depthwise.conv.stride[0])
        starts = range(0, self._out_height(x), step)
        return torch.cat([torch.cat([self._rows(image, a, a + step) for a in starts], 2) for image in x.split(1)])

    def _out_height(self, x: Tensor) -> int:
        stride = self.depthwise.conv.stride[0]
        return (x.shape[2] + stride - 1) // stride

    def _rows(self, x: Tensor, start: int, stop: int) -> Tensor:
        """Rows `start` to `stop` of the block's result, from those rows of `x` that they depend on."""
        stride, reach = self.depthwise.conv.stride[0], self.depthwise.conv.dilation[0]
        first = max(0, start - (reach + stride - 1) // stride)  # of the rows that the strip can give
        strip = x[:, :, first * stride : (stop - 1) * stride + reach + 1]
        # Its outermost rows come from padding where the map goes on: they are not among those wanted.
        out: Tensor = self.project(self.depthwise(self.expand(strip))[:, :, start - first : stop - first])
        return out.add_(x[:, :, start:stop]) if self.has_skip else out


def specialise(network: nn.Module) -> None:
    """Put `CPUInvertedResidual` in place of the plain blocks inside `network`; parameters and hooks stay the same."""
    for parent in list(network.modules()):
        for name, child in list(parent.named_children()):
            if type(child) is InvertedResidual:
                twin = CPUInvertedResidual.__new__(CPUInvertedResidual)
                twin.__dict__ = child.__dict__
                setattr(parent, name, twin)


def tune_cpu_memory() -> bool:
    """Have glibc's malloc keep up to 256 MiB of freed memory for later, as PyTorch's allocator does on GPUs.

    For a process that infers on a CPU under Linux, called by name, once, for the whole process. By default malloc
    returns a map's memory to the system soon after it is freed, and the system clears each of its pages before it hands
    them out again. Blocks of more than 32 MiB still go back at once.

    Returns:
        Whether anything was set: not without glibc.
    """
    if sys.platform != "linux":
        return False
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is None:
        return False
    return bool(mallopt(_M_MMAP_THRESHOLD, _LARGEST_KEPT_BLOCK)) and bool(mallopt(_M_TRIM_THRESHOLD, _KEPT_BYTES))


def _infers_on_cpu(x: Tensor) -> bool:
    return x.device.type == "cpu" and not (torch.is_grad_enabled() or exporting() or torch.compiler.is_compiling())
