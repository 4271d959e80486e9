"""Three processes train a small network on what the sampler gives them."""

import multiprocessing
import random
from datetime import timedelta
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.distributed as dist
import torch.multiprocessing as mp
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel
from torch.utils.data import DataLoader, Dataset

from mvdet.data import MultiScaleBatchSampler

RANKS, SAMPLES, EPOCHS = 3, 100, 2


class Noise(Dataset):
    """Images that draw from the global generators, as often as the process's rank says."""

    def __init__(self, rank: int) -> None:
        self.rank = rank

    def __getitem__(self, item: tuple[int, int, int]) -> tuple[Tensor, int]:
        height, width, index = item
        for _ in range((self.rank + 1) * (index % 3)):
            random.random(), np.random.random(), torch.rand(())
        return torch.rand(3, height, width), index


def train(rank: int, folder: str) -> None:
    torch.set_num_threads(1)
    dist.init_process_group(
        "gloo", init_method=f"file://{folder}/rendezvous", rank=rank, world_size=RANKS, timeout=timedelta(seconds=30)
    )
    random.seed(rank), np.random.seed(rank), torch.manual_seed(rank)
    sampler = MultiScaleBatchSampler(  # asks torch.distributed which process it is in
        SAMPLES, base_size=(24, 16), base_batch_size=4, min_size=(16, 8), max_size=(40, 32), num_sizes=4, divisor=8
    )
    loader: DataLoader = DataLoader(Noise(rank), batch_sampler=sampler)
    model = DistributedDataParallel(nn.Sequential(nn.Conv2d(3, 4, 3), nn.AdaptiveAvgPool2d(1), nn.Flatten()))
    optimizer = torch.optim.SGD(model.parameters(), 0.1)
    steps = []
    for epoch in range(EPOCHS):
        sampler.set_epoch(epoch)
        for images, indices in loader:
            optimizer.zero_grad()
            model(images).square().mean().backward()
            optimizer.step()
            steps.append((epoch, tuple(images.shape), indices.tolist()))
    weights = torch.cat([parameter.detach().flatten() for parameter in model.parameters()])
    torch.save({"steps": steps, "weights": weights}, f"{folder}/{rank}.pt")
    dist.destroy_process_group()


@pytest.mark.slow
def test_three_processes_train_on_the_same_sizes(tmp_path: Path) -> None:
    multiprocessing.set_forkserver_preload(["torch._dynamo", "mvdet.data.samplers"])  # imported once, not three times
    mp.start_processes(train, (str(tmp_path),), nprocs=RANKS, start_method="forkserver")
    results = [torch.load(tmp_path / f"{rank}.pt") for rank in range(RANKS)]
    shapes = [[(epoch, shape) for epoch, shape, _ in result["steps"]] for result in results]
    assert shapes[0] == shapes[1] == shapes[2]
    assert len({shape[2:] for _, shape in shapes[0]}) > 2
    assert all(torch.equal(result["weights"], results[0]["weights"]) for result in results)
    for epoch in range(EPOCHS):
        seen = [index for result in results for step in result["steps"] if step[0] == epoch for index in step[2]]
        assert set(seen) == set(range(SAMPLES))
        assert len(seen) == SAMPLES + -SAMPLES % RANKS
