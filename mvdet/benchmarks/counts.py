"""What a network costs that no machine decides: kernels, copies, arithmetic, and memory kept for the backward pass."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any

import torch
import yaml
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import FlopCounterMode

from mvdet.benchmarks.rivals import all_levels
from mvdet.resources import resource

LIMITS = "cfg/benchmark_limits.yaml"
"""The limits of every backbone's counts, and the version of PyTorch that they were counted with; of the package."""
OTHER_VERSION = 0.1
"""How much more another version of PyTorch may count, relative to a limit: it may split an operator in two."""
_COPIES = ("clone", "copy_", "_to_copy")
"""ATen's operators that rearrange memory or change its type; `contiguous` and `reshape` come down to them."""


@dataclass(frozen=True, slots=True)
class Counts:
    """What one network costs with one input.

    Attributes:
        kernels: operators that compute something, views left out, in a fused forward pass.
        copies: how many of the kernels only copy, most often into another layout.
        copied_mib: what the copies write, in MiB.
        gflop: floating-point operations of convolutions, matrix products and attention, in billions; a multiplication
            and an addition are two.
        activation_mib: memory of the tensors that a training step's forward pass keeps for its backward pass, in MiB,
            parameters left out.
    """

    kernels: int
    copies: int
    copied_mib: float
    gflop: float
    activation_mib: float


class _Recorder(TorchDispatchMode):
    """Counts the kernels and copies that PyTorch runs while it is entered."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.kernels = self.copies = self.copied_bytes = 0

    def __torch_dispatch__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = function(*args, **(kwargs or {}))
        if not function.is_view:
            self.kernels += 1
            if function.overloadpacket.__name__ in _COPIES:
                self.copies += 1
                self.copied_bytes += result.nbytes
        return result


def count(variant: str, *, size: int = 256) -> Counts:
    """Count what one image costs in the five-level pyramid.

    Args:
        variant: name of the backbone.
        size: side of the square image in pixels.
    """
    model, images = all_levels(variant), torch.rand(1, 3, size, size)
    kept = _kept_bytes(model.train(), images)
    model.eval().fuse()
    with torch.no_grad(), _Recorder() as recorder:
        model(images)
    with torch.no_grad(), FlopCounterMode(display=False) as flops:
        model(images)
    return Counts(
        kernels=recorder.kernels,
        copies=recorder.copies,
        copied_mib=round(recorder.copied_bytes / 2**20, 2),
        gflop=round(flops.get_total_flops() / 1e9, 3),
        activation_mib=round(kept / 2**20, 2),
    )


def read_limits() -> tuple[dict[str, dict[str, float]], float]:
    """The limits of every backbone's counts, and how much above them a count may be, relative to them.

    That is 0 with the version of PyTorch that the limits were counted with, `OTHER_VERSION` otherwise.
    """
    limits = yaml.safe_load(resource(LIMITS).read_text(encoding="utf-8"))
    counted_with = str(limits.pop("torch"))
    return limits, 0.0 if torch.__version__.startswith(f"{counted_with}.") else OTHER_VERSION


def excess(found: Counts, limits: Mapping[str, float], *, subject: str, tolerance: float = 0.0) -> list[str]:
    """Compare counts with their limits.

    Args:
        found: what was counted.
        limits: the largest value of each of the counts.
        subject: named in the messages.
        tolerance: how much a count may be above its limit, relative to it.

    Returns:
        One message for each count above its limit; a smaller one is not an error.

    Raises:
        ValueError: `limits` lacks a count or has one that does not exist.
    """
    names = {field.name for field in fields(Counts)}
    if names != limits.keys():
        raise ValueError(f"{subject}: limits must be of {', '.join(sorted(names))}, got {', '.join(sorted(limits))}")
    return [
        f"{subject}: {name} has grown from {limits[name]} to {value}"
        for name, value in asdict(found).items()
        if value > limits[name] * (1 + tolerance)
    ]


def _kept_bytes(model: nn.Module, images: Tensor) -> int:
    """Bytes of the tensors that autograd saves, each storage once."""
    parameters = {p.untyped_storage().data_ptr() for p in model.parameters()}
    kept: dict[int, Tensor] = {}  # holds the tensors, so that no address is used twice

    def pack(tensor: Tensor) -> Tensor:
        address = tensor.untyped_storage().data_ptr()
        if address not in parameters:
            kept[address] = tensor
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        outputs = model(images)
    del outputs
    return sum(tensor.untyped_storage().nbytes() for tensor in kept.values())
