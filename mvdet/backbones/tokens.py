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


def split_patches(x: Tensor) -> Tensor:
    """[B, H, W, C] of even size -> [B, h, 2, w, 2, C], a view: the rows and columns inside each patch get dimensions.

    `torch.export` cannot prove that a symbolic size splits into (-1, 2) and would constrain the size; a strided window
    of two needs no proof.
    """
    if torch.compiler.is_exporting():
        return x.unfold(1, 2, 2).unfold(2, 2, 2).permute(0, 1, 4, 2, 5, 3)
    batch, height, width, channels = x.shape
    return x.reshape(batch, height // 2, 2, width // 2, 2, channels)
