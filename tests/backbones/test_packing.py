"""Packed weights: the same numbers, whatever happens to the layer, and nothing of them in what is saved."""

import copy
import io
from collections.abc import Callable
from functools import partial

import pytest
import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from mvdet import create_backbone, list_backbones
from mvdet.backbones import packing
from mvdet.backbones.layers import Conv2d, Linear, fuse

PACKED = {"mkldnn::_convolution_pointwise", "mkldnn::_linear_pointwise"}
Randomise = Callable[[nn.Module], None]
Difference = Callable[[Tensor, Tensor], float]

pytestmark = pytest.mark.skipif(not packing._AVAILABLE, reason="this PyTorch has no operators for packed weights")


def operators(model: nn.Module, *inputs: Tensor) -> set[str]:
    with torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CPU]) as profile:
        model(*inputs)
    return {event.name for event in profile.events()}


def plain(model: nn.Module, x: Tensor) -> list[Tensor] | Tensor:
    """What it gives with plain weights."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(packing, "_AVAILABLE", False)
        return model(x)


def layer(kind: str) -> tuple[nn.Module, Tensor]:
    if kind == "linear":
        return Linear(256, 192), torch.randn(4, 25, 256)
    model = {
        "pointwise": Conv2d(256, 192, 1),
        "strided": Conv2d(64, 96, 3, stride=2, padding=1),
        "dilated": Conv2d(64, 96, 3, padding=4, dilation=4, bias=False),
        "grouped": Conv2d(256, 256, 3, padding=1, groups=2),
    }[kind]
    x = torch.randn(2, model.in_channels, 12, 10)
    return model.to(memory_format=torch.channels_last), x.contiguous(memory_format=torch.channels_last)


KINDS = ["linear", "pointwise", "strided", "dilated", "grouped"]


@pytest.mark.parametrize("name", list_backbones())
@torch.no_grad()
def test_a_fused_backbone_gives_what_it_gives_with_plain_weights(
    name: str, randomise: Randomise, difference: Difference
) -> None:
    model = create_backbone(name)
    randomise(model)
    model.eval().fuse()
    images = torch.rand(1, 3, 160, 128)
    wanted = plain(model, images)
    assert operators(model, images) & PACKED
    first, second = model(images), model(images)
    for x, y, z in zip(first, second, wanted, strict=True):
        assert torch.equal(x, y)
        assert difference(x, z) < 1e-5
        assert x.is_contiguous(memory_format=torch.channels_last)


@pytest.mark.parametrize("kind", KINDS)
@torch.no_grad()
def test_layers_give_what_pytorchs_give(kind: str, difference: Difference) -> None:
    model, x = layer(kind)
    fuse(model)
    assert operators(model, x) & PACKED
    for inputs in (x, x[:1], x[..., :5, :] if x.dim() == 4 else x[:, ::2]):
        out, wanted = model(inputs), plain(model, inputs)
        assert difference(out, wanted) < 1e-5
        assert out.stride() == wanted.stride()


@torch.no_grad()
def test_small_weights_and_layers_that_are_not_fused_are_left_alone() -> None:
    small, large = Conv2d(64, 64, 1).eval(), Conv2d(256, 256, 1).eval()
    fuse(small)
    for model in (small, large):
        x = torch.rand(1, model.in_channels, 8, 8)
        assert not operators(model, x) & PACKED


@torch.no_grad()
def test_many_shapes(difference: Difference) -> None:
    """Each is right, and a layer remembers no more than four."""
    model, _ = layer("strided")
    fuse(model)
    shapes = [(1, 8 + size, 8) for size in range(6)]
    for batch, height, width in shapes + shapes[:4] * 2:
        x = torch.rand(batch, 64, height, width)
        assert difference(model(x), plain(model, x)) < 1e-5
        assert len(packing._copies[model]) <= 4


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("change", ["load_state_dict", "optimiser", "half", "assign", "dtype"])
def test_a_changed_weight_is_noticed(kind: str, change: str, difference: Difference) -> None:
    model, x = layer(kind)
    fuse(model)
    with torch.no_grad():
        model(x)
    if change == "load_state_dict":
        model.load_state_dict({name: value + 1 for name, value in model.state_dict().items()})
    elif change == "optimiser":
        model(x).square().sum().backward()
        torch.optim.SGD(model.parameters(), lr=0.1).step()
    elif change == "half":
        model.half().float()  # rounded, and maybe at the same address
    elif change == "assign":
        model.weight = nn.Parameter(torch.randn_like(model.weight))
    else:
        model.double()
        x = x.double()
    with torch.no_grad():
        assert difference(model(x), plain(model, x)) < 1e-5


def test_gradients_are_those_of_the_plain_weight() -> None:
    model, x = layer("pointwise")
    fuse(model)
    with torch.no_grad():
        model(x)
    model(x).sum().backward()
    assert model.weight.grad is not None
    assert not operators(model, x) & PACKED


@torch.no_grad()
def test_lower_precision_and_mkldnn_switched_off() -> None:
    model, x = layer("linear")
    fuse(model)
    model(x)
    with torch.autocast("cpu", torch.bfloat16):
        assert model(x).dtype == torch.bfloat16
    with torch.backends.mkldnn.flags(enabled=False):
        assert not operators(model, x) & PACKED


def test_weights_made_in_inference_mode(difference: Difference) -> None:
    with torch.inference_mode():
        model, x = layer("pointwise")
        fuse(model)
        assert difference(model(x), plain(model, x)) < 1e-5
        assert operators(model, x) & PACKED


@torch.no_grad()
def test_nothing_of_it_is_saved_or_copied() -> None:
    model = create_backbone("mobilevit_s").eval().fuse()
    images = torch.rand(1, 3, 64, 64)
    before, after = io.BytesIO(), io.BytesIO()
    torch.save(model, before)
    wanted = model(images)
    torch.save(model, after)
    assert len(after.getvalue()) == len(before.getvalue())
    other = copy.deepcopy(model)
    held = len(packing._copies)
    assert all(torch.equal(x, y) for x, y in zip(other(images), wanted, strict=True))
    assert len(packing._copies) > held
    del other
    assert len(packing._copies) == held, "the copies outlive their layer"


@torch.no_grad()
def test_recorded_graphs_have_pytorchs_operators() -> None:
    model = create_backbone("mobilevit_s").eval().fuse()
    images = torch.rand(1, 3, 128, 128)
    wanted = model(images)
    assert "mkldnn" not in str(torch.export.export(model, (images,)).graph)
    traced = torch.jit.trace(model, images)
    assert "mkldnn" not in str(traced.inlined_graph)
    for x, y in zip(traced(images), wanted, strict=True):
        torch.testing.assert_close(x, y, rtol=1e-4, atol=1e-5)


@torch.no_grad()
def test_operations_are_counted_all_the_same() -> None:
    model = create_backbone("mobilevit_s").eval().fuse()
    images = torch.rand(1, 3, 128, 128)
    totals = []
    for run in (model, partial(plain, model)):
        with FlopCounterMode(display=False) as counter:
            run(images)
        totals.append(counter.get_total_flops())
    assert totals[0] == totals[1] > 1e8
