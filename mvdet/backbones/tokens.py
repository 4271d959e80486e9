"""Even-sized maps for 2x2 patches.

Both MobileViT versions attend over 2x2 patches. Apple's implementation stretches a map of odd size to the next even one
before the patches are made; the published weights were trained with that (160, 224 and 288 pixel images have odd maps
at stride 32), so it is part of the network. Stretching is skipped for even maps, except in an exported graph: there the
resize to `2 * ((size + 1) // 2)` is always present, because the graph has to serve sizes it was not traced with, and
it is the identity on even maps.
"""

import torch
from torch import Tensor
from torch.nn import functional as F


def exporting() -> bool:
    """Whether `torch.export`, `torch.jit.trace` or an ONNX export is recording a graph."""
    tracing: bool = torch.jit.is_tracing()  # type: ignore[attr-defined, no-untyped-call]
    return tracing or torch.compiler.is_exporting()


def stretch_to_even(x: Tensor, *, align_corners: bool) -> Tensor:
    """[B, C, H, W] -> [B, C, H', W'] with H' and W' rounded up to even, bilinearly."""
    height, width = x.shape[-2:]
    if not exporting() and height % 2 == 0 and width % 2 == 0:
        return x
    size = (2 * ((height + 1) // 2), 2 * ((width + 1) // 2))
    return F.interpolate(x, size=size, mode="bilinear", align_corners=align_corners)


def resize_to(x: Tensor, height: int, width: int, *, align_corners: bool) -> Tensor:
    """[B, C, H', W'] -> [B, C, height, width], bilinearly; the way back from `stretch_to_even`."""
    if not exporting() and x.shape[-2] == height and x.shape[-1] == width:
        return x
    return F.interpolate(x, size=(height, width), mode="bilinear", align_corners=align_corners)


def split_positions(x: Tensor) -> Tensor:
    """[B, C, H, W] -> [B, C, 4, N]: the four positions inside 2x2 patches apart, of N = H/2 * W/2 patches.

    H and W must be even. Outside a recorded graph, the result lies in channels_last memory, so that 1x1 convolutions
    and norms work on it as on any map, and its [B, 4, N, C] permutation is a view.
    """
    batch, channels, height, width = x.shape
    if exporting():
        # Rank 4 at most, and nothing that divides a symbolic size, of which `torch.export` would ask for a proof.
        return torch.stack([x[:, :, row::2, col::2].flatten(2) for row in range(2) for col in range(2)], 2)
    x = x.permute(0, 2, 3, 1).reshape(batch, height // 2, 2, width // 2, 2, channels)
    x = x.permute(0, 2, 4, 1, 3, 5).reshape(batch, 4, height * width // 4, channels)
    return x.permute(0, 3, 1, 2)


def join_positions(x: Tensor, height: int, width: int) -> Tensor:
    """[B, C, 4, N] -> [B, C, height, width]; undoes `split_positions`."""
    batch, channels = x.shape[:2]
    rows, cols = height // 2, width // 2
    if exporting():
        parts = x.flatten(0, 1).unbind(1)
        maps = [part.reshape(batch * channels, rows, cols) for part in parts]
        lines = [torch.stack(pair, 3).flatten(2) for pair in (maps[:2], maps[2:])]  # each [B * C, rows, width]
        return torch.stack(lines, 2).flatten(1, 2).reshape(batch, channels, height, width)
    x = x.permute(0, 2, 3, 1).reshape(batch, 2, 2, rows, cols, channels)
    x = x.permute(0, 3, 1, 4, 2, 5).reshape(batch, height, width, channels)
    return x.permute(0, 3, 1, 2)
