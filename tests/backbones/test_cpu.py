"""What `fuse` puts in for CPUs: the same numbers in parts, plain layers wherever a graph or a gradient is recorded."""

import io
import platform
import subprocess
import sys

import pytest
import torch
from torch import nn

from mvdet import create_backbone
from mvdet.backbones import cpu, layers
from mvdet.backbones.fusing import fuse


@pytest.mark.parametrize("images", [1, 2, 5])
def test_slices_of_a_batch_give_what_the_batch_gives(images: int, monkeypatch: pytest.MonkeyPatch) -> None:
    model = create_backbone("mobilevit_s").eval().fuse()
    batch = torch.rand(5, 3, 96, 64)
    with torch.no_grad():
        whole = model(batch)
        # The first block expands an image to 64 channels of 48 x 32
        monkeypatch.setattr(cpu, "_SLICE_BYTES", images * 64 * 48 * 32 * 4)
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
    network = nn.Sequential(block).to(memory_format=torch.channels_last)
    x = torch.rand(images, 8, height, 5).contiguous(memory_format=torch.channels_last)
    row = 32 * 5 * 4
    with torch.no_grad():
        whole = network(x)
        fuse(network)
        assert type(network[0]) is cpu.CPUInvertedResidual
        for rows in (0, 1, 2, 3, 5, 16, 32, 10_000):
            monkeypatch.setattr(cpu, "_SLICE_BYTES", rows * row)
            in_strips = network(x)
            torch.testing.assert_close(in_strips, whole, rtol=1e-4, atol=1e-4)
            assert in_strips.is_contiguous(memory_format=torch.channels_last)


def test_nothing_is_put_in_before_fuse() -> None:
    kinds = {type(module).__module__ for module in create_backbone("mobilevit_s").modules()}
    assert cpu.__name__ not in kinds


def test_parameters_hooks_and_keys_are_the_same_objects() -> None:
    model = create_backbone("mobilevit_xxs").eval()
    seen: list[str] = []
    model.stages[1][0].register_forward_hook(lambda *_: seen.append("block"))
    parameters = {key: value for key, value in model.named_parameters() if "norm" not in key}
    model.fuse()
    assert isinstance(model.stages[1][0], cpu.CPUInvertedResidual)
    fused = dict(model.named_parameters())
    assert all(fused[key] is value for key, value in parameters.items() if key.endswith("conv.weight"))
    with torch.no_grad():
        model(torch.rand(1, 3, 64, 64))
    assert seen == ["block"]


def test_a_recorded_gradient_goes_through_the_plain_layers() -> None:
    model = create_backbone("mobilevit_xxs").eval().fuse()
    images = torch.rand(1, 3, 64, 64, requires_grad=True)
    sum(x.square().sum() for x in model(images)).backward()
    assert images.grad is not None
    assert images.grad.abs().sum() > 0


def test_a_fused_network_is_saved_and_loaded() -> None:
    model = create_backbone("mobilevit_xxs").eval().fuse()
    images = torch.rand(1, 3, 64, 64)
    file = io.BytesIO()
    torch.save(model, file)
    file.seek(0)
    other = torch.load(file, weights_only=False)
    with torch.no_grad():
        assert all(torch.equal(x, y) for x, y in zip(other(images), model(images), strict=True))


FAULTS = """
import resource, sys
import torch
from mvdet import create_backbone, tune_cpu_memory

torch.set_num_threads(1)
if sys.argv[1] == "tuned":
    assert tune_cpu_memory()
model, images = create_backbone("mobilevit_xxs").eval(), torch.rand(1, 3, 320, 320)

def faults():
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(4):
        model(images)
    return (resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before) // 4

with torch.no_grad():
    faults()
    print(min(faults() for _ in range(3)))
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="glibc's malloc only")
def test_tuned_memory_stays_with_the_process_and_nothing_is_tuned_unasked() -> None:
    tuned, untuned = (
        int(subprocess.run([sys.executable, "-c", FAULTS, how], check=True, capture_output=True, text=True).stdout)
        for how in ("tuned", "untuned")
    )
    assert tuned < 200
    assert untuned > 500


def test_other_systems_are_told_that_nothing_was_tuned(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cpu.sys, "platform", "darwin")
    assert cpu.tune_cpu_memory() is False
