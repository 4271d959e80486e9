"""Weights kept in the order in which oneDNN's kernels read them.

oneDNN reorders a plain weight anew at every call. PyTorch has operators that take a weight reordered before: those that
`torch.compile` calls on a CPU (torch/_inductor/mkldnn_ir.py). They are no public interface: where one is missing,
layers compute as PyTorch's own do.

One image of 256 to 480 pixels takes 0.93 to 0.98 of the time with mobilevit_s and mobilevitv2_100, on one thread and on
two; variants with smaller weights take the same. Where more shapes alternate than a layer remembers: 0.99 to 1.03.
"""

from typing import Any
from weakref import WeakKeyDictionary

import torch
from torch import Tensor, nn
from torch.utils.flop_counter import register_flop_formula

from mvdet.backbones.tokens import exporting

_OPERATORS = ("_convolution_pointwise", "_reorder_convolution_weight", "_linear_pointwise", "_reorder_linear_weight")
_AVAILABLE = torch.backends.mkldnn.is_available() and all(hasattr(torch.ops.mkldnn, name) for name in _OPERATORS)

_SMALLEST = 40_000  # elements of a weight; for smaller ones, looking here costs what it saves
_SHAPES = 4  # of inputs that a layer remembers: where a map goes through in strips, two belong to one image

# Beside the layers rather than in them: what is pickled, copied or moved to another device is the plain weight alone.
_copies: WeakKeyDictionary[nn.Module, dict[Any, Tensor]] = WeakKeyDictionary()


class Packable(nn.Module):
    """Base of layers that can keep packed copies of their weight, for inference in float32 on a CPU."""

    weight: Tensor
    packs = False
    """Whether the layer keeps them; of the class, for layers of older checkpoints have no such attribute."""

    def pack(self) -> None:
        """Keep packed copies from now on, where the weight is large enough to be worth it.

        A change of the weight is noticed, unless it is made through `weight.data`.
        """
        self.packs = self.weight.numel() >= _SMALLEST

    def packed_weight(self, x: Tensor) -> Tensor | None:
        """The copy for inputs like `x`, or None if the plain weight is to be used."""
        weight = self.weight
        if not _usable(x, weight):
            return None
        key = (self._packed_shape(x), weight.data_ptr(), None if weight.is_inference() else weight._version)
        copies = _copies.setdefault(self, {})
        copy = copies.pop(key, None)
        if copy is None:
            copy = self._reorder(weight.detach(), key[0])
        copies[key] = copy  # the latest is last
        if len(copies) > _SHAPES:
            copies.pop(next(iter(copies), None), None)  # another thread may have done so
        return copy

    def _packed_shape(self, x: Tensor) -> torch.Size | None:
        """The shape of inputs that a copy for `x` is for; None if one copy serves all."""
        raise NotImplementedError

    def _reorder(self, weight: Tensor, shape: torch.Size | None) -> Tensor:
        """The packed copy of `weight`."""
        raise NotImplementedError

    def _apply(self, *args: Any, **kwargs: Any) -> "Packable":  # what `to`, `half` and their like come down to
        _copies.pop(self, None)
        return super()._apply(*args, **kwargs)


def _usable(x: Tensor, weight: Tensor) -> bool:
    return (
        not (torch.is_grad_enabled() or torch.compiler.is_compiling() or exporting())
        and type(x) is Tensor
        and x.dtype == weight.dtype == torch.float32
        and x.device.type == weight.device.type == "cpu"
        and not torch.is_autocast_enabled("cpu")
        and bool(torch.backends.mkldnn.enabled)
        and _AVAILABLE
    )


if _AVAILABLE:  # `torch.utils.flop_counter` knows PyTorch's public operators only

    @register_flop_formula(torch.ops.mkldnn._convolution_pointwise)
    def _convolution_flop(x: torch.Size, weight: torch.Size, *_: Any, out_shape: torch.Size, **__: Any) -> int:
        batch, _channels, height, width = out_shape
        return 2 * batch * height * width * weight.numel()

    @register_flop_formula(torch.ops.mkldnn._linear_pointwise)
    def _linear_flop(x: torch.Size, weight: torch.Size, *_: Any, **__: Any) -> int:
        return 2 * x[:-1].numel() * weight.numel()
