"""Gradients keep the memory layout of the maps, so that the backward pass runs on the fast kernels."""

import math
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from mvdet import create_backbone
from mvdet.backbones import layers


@pytest.mark.parametrize(
    ("name", "expand"), [("mobilevit_xxs", False), ("mobilevit_xxs", True), ("mobilevitv2_050", False)]
)
def test_a_loss_in_another_layout_is_no_detour(name: str, expand: bool) -> None:
    model = create_backbone(name, out_strides=(2, 4, 8, 16, 32), expand_output=expand).train()
    off: list[str] = []

    def watch(layer: str, output: Tensor) -> None:
        def look(gradient: Tensor) -> None:
            if not gradient.is_contiguous(memory_format=torch.channels_last):
                off.append(layer)

        output.register_hook(look)

    for layer, module in model.named_modules():
        if isinstance(module, nn.BatchNorm2d):
            module.register_forward_hook(lambda _, __, output, layer=layer: watch(layer, output))
    maps = model(torch.rand(2, 3, 64, 64))
    torch.autograd.backward(maps, [torch.rand(x.shape) for x in maps])  # in the default layout
    assert off == []


def test_the_gradient_itself_is_untouched() -> None:
    model = create_backbone("mobilevit_xxs").train()
    images = torch.rand(2, 3, 64, 64, requires_grad=True)
    maps = model(images)
    upstream = [torch.rand(x.shape) for x in maps]
    same = torch.autograd.grad(maps, images, upstream, retain_graph=True)
    laid_out = [x.contiguous(memory_format=torch.channels_last) for x in upstream]
    assert torch.equal(*torch.autograd.grad(maps, images, laid_out), *same)


@pytest.mark.parametrize("fused", [False, True])
@pytest.mark.parametrize("images", [1, 2, 5])
def test_slices_of_a_batch_give_what_the_batch_gives(fused: bool, images: int, monkeypatch: pytest.MonkeyPatch) -> None:
    model = create_backbone("mobilevit_s").eval()
    if fused:
        model.fuse()
    batch = torch.rand(5, 3, 96, 64)
    with torch.no_grad():
        whole = model(batch)
        # The first block expands an image to 64 channels of 48 x 32
        monkeypatch.setattr(layers, "_SLICE_BYTES", images * 64 * 48 * 32 * 4)
        sliced = model(batch)
    for x, y in zip(sliced, whole, strict=True):
        torch.testing.assert_close(x, y, rtol=1e-5, atol=1e-6)
        assert x.is_contiguous(memory_format=torch.channels_last)


@pytest.mark.parametrize("images", [1, 3])
@pytest.mark.parametrize("height", [1, 2, 3, 7, 16, 33])
@pytest.mark.parametrize(("stride", "dilation"), [(1, 1), (1, 2), (1, 4), (2, 1)])
def test_strips_of_an_image_give_what_the_image_gives(
    stride: int, dilation: int, height: int, images: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    block = layers.InvertedResidual(8, 8, stride=stride, expand_ratio=4, dilation=dilation).eval()
    for parameter in block.parameters():
        nn.init.normal_(parameter)
    block.to(memory_format=torch.channels_last)
    x = torch.rand(images, 8, height, 5).contiguous(memory_format=torch.channels_last)
    row = 32 * 5 * 4
    with torch.no_grad():
        whole = block(x)
        for rows in (0, 1, 2, 3, 5, 16, 32):
            monkeypatch.setattr(layers, "_SLICE_BYTES", rows * row)
            in_strips = block(x)
            torch.testing.assert_close(in_strips, whole, rtol=1e-5, atol=1e-5)
            assert in_strips.is_contiguous(memory_format=torch.channels_last)


def test_statistics_and_hooks_see_the_whole_batch(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(layers, "_SLICE_BYTES", 1)
    block = create_backbone("mobilevit_s").stages[1][1]
    seen: list[int] = []
    batch = torch.rand(4, 64, 8, 8)
    with torch.no_grad():
        mean = block.train()(batch).mean(dim=(0, 2, 3))  # the skip's, and nothing else: the branch starts as zeros
        torch.testing.assert_close(mean, batch.mean(dim=(0, 2, 3)), rtol=1e-3, atol=1e-3)
        assert block.expand.norm.num_batches_tracked == 1
        block.eval().depthwise.conv.register_forward_hook(lambda _, inputs, __: seen.append(len(inputs[0])))
        block(batch)
    assert seen == [4]


def test_a_network_that_is_traced_with_gradients_can_be_saved(tmp_path: Path) -> None:
    model = create_backbone("mobilevit_xxs").eval()
    images = torch.rand(1, 3, 64, 64)
    traced = torch.jit.trace(model, images, check_trace=False)  # the check runs without gradients: another graph
    traced.save(str(tmp_path / "model.pt"))
    for x, y in zip(torch.jit.load(str(tmp_path / "model.pt"))(images), model(images), strict=True):
        torch.testing.assert_close(x, y)


@pytest.mark.parametrize("fused", [False, True])
@pytest.mark.parametrize("name", ["mobilevit_s", "mobilevitv2_100"])
def test_large_pointwise_convolutions_are_onednns_on_one_thread(name: str, fused: bool) -> None:
    model = create_backbone(name).eval()
    if fused:
        model.fuse()
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        activities = [torch.profiler.ProfilerActivity.CPU]
        with torch.no_grad(), torch.profiler.profile(activities=activities, record_shapes=True) as profile:
            model(torch.rand(1, 3, 256, 256))
    finally:
        torch.set_num_threads(threads)
    names = [event.name for event in profile.events()]
    assert "aten::slow_conv_dilated2d" not in names
    slow = [e.input_shapes[0] for e in profile.events() if e.name == "aten::_slow_conv2d_forward"]
    assert slow, "no small map was left to PyTorch's own code"
    assert max(math.prod(shape) for shape in slow) <= 100_000


def test_an_exported_graph_has_the_networks_own_dilations() -> None:
    model = create_backbone("mobilevitv2_050", output_stride=16).eval()
    program = torch.export.export(model, (torch.rand(1, 3, 64, 64),))
    nodes = [node for node in program.graph.nodes if "conv2d" in str(node.target)]
    convolutions = [module for module in model.modules() if isinstance(module, nn.Conv2d)]
    found = [tuple(node.args[5]) if len(node.args) > 5 else (1, 1) for node in nodes]
    assert sorted(found) == sorted(module.dilation for module in convolutions)
    assert max(found) == (2, 2)
