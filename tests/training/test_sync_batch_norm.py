"""Two processes, each with half of a batch, against one process with all of it."""

from pathlib import Path

import pytest
import torch
import torch.distributed as dist
import torch.multiprocessing as mp
from torch import nn

from mvdet import create_backbone
from mvdet.training.sync_batch_norm import SyncBatchNorm2d, synchronise

IMAGES = torch.rand(4, 3, 64, 64, generator=torch.Generator().manual_seed(0))


def network() -> nn.Module:
    torch.manual_seed(0)
    return create_backbone("mobilevit_xxs", out_strides=(8,)).train()


def step(model: nn.Module, images: torch.Tensor) -> torch.Tensor:
    (out,) = model(images)
    out.square().mean().backward()
    return out


def half(rank: int, folder: str) -> None:
    dist.init_process_group("gloo", init_method=f"file://{folder}/rendezvous", rank=rank, world_size=2)
    model = synchronise(network())
    out = step(model, IMAGES[2 * rank : 2 * rank + 2])
    for parameter in model.parameters():
        dist.all_reduce(parameter.grad)
        parameter.grad /= 2
    gradients = {name: parameter.grad for name, parameter in model.named_parameters()}
    torch.save({"out": out.detach(), "gradients": gradients, "state": model.state_dict()}, f"{folder}/{rank}.pt")
    dist.destroy_process_group()


@pytest.mark.slow
def test_two_halves_are_one_whole(tmp_path: Path) -> None:
    mp.spawn(half, (str(tmp_path),), nprocs=2)
    first, second = (torch.load(tmp_path / f"{rank}.pt") for rank in (0, 1))
    model = network()
    wanted = step(model, IMAGES)
    torch.testing.assert_close(torch.cat([first["out"], second["out"]]), wanted.detach(), rtol=1e-4, atol=1e-5)
    for name, parameter in model.named_parameters():
        torch.testing.assert_close(first["gradients"][name], parameter.grad, rtol=1e-3, atol=1e-5)
    for name, value in model.state_dict().items():
        torch.testing.assert_close(first["state"][name], value, rtol=1e-4, atol=1e-5)


def test_alone_nothing_is_replaced() -> None:
    assert not any(isinstance(layer, SyncBatchNorm2d) for layer in synchronise(network()).modules())
