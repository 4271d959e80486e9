"""Gradients keep the memory layout of the maps, so that the backward pass runs on the fast kernels."""

from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from mvdet import create_backbone


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


def test_a_network_that_is_traced_with_gradients_can_be_saved(tmp_path: Path) -> None:
    model = create_backbone("mobilevit_xxs").eval()
    images = torch.rand(1, 3, 64, 64)
    traced = torch.jit.trace(model, images, check_trace=False)  # the check runs without gradients: another graph
    traced.save(str(tmp_path / "model.pt"))
    for x, y in zip(torch.jit.load(str(tmp_path / "model.pt"))(images), model(images), strict=True):
        torch.testing.assert_close(x, y)


def test_an_exported_graph_has_the_networks_own_dilations() -> None:
    model = create_backbone("mobilevitv2_050", output_stride=16).eval()
    program = torch.export.export(model, (torch.rand(1, 3, 64, 64),))
    nodes = [node for node in program.graph.nodes if "conv2d" in str(node.target)]
    convolutions = [module for module in model.modules() if isinstance(module, nn.Conv2d)]
    found = [tuple(node.args[5]) if len(node.args) > 5 else (1, 1) for node in nodes]
    assert sorted(found) == sorted(module.dilation for module in convolutions)
    assert max(found) == (2, 2)
