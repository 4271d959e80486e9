"""The batches of a run: Lightning's order of calls, processes, sizes, and going on in the middle of an epoch."""

import pytest
import torch
from torch.utils.data import Dataset

from mvdet.training.detection import SSDLiteRecipe
from mvdet.training.loaders import EpochLoader, eval_loader, train_loader

SIZES = {"size": (64, 64), "min_size": (32, 32), "max_size": (96, 96), "num_sizes": 3}


class Numbers(Dataset):
    """The image says which sample it is, at what size, in which epoch."""

    def __init__(self, count: int) -> None:
        self.count = count
        self.epoch = torch.zeros((), dtype=torch.int64).share_memory_()

    def __len__(self) -> int:
        return self.count

    def __getitem__(self, item):
        height, width, index = item
        return torch.full((1, height, width), int(self.epoch)), {"image_id": torch.tensor(index)}

    def set_epoch(self, epoch: int) -> None:
        self.epoch.fill_(epoch)


def recipe(**changes: object) -> SSDLiteRecipe:
    return SSDLiteRecipe(**{"batch_size": 6, "workers": 0, **SIZES, **changes})


def seen(loader) -> list[tuple[int, int, list[int]]]:
    """(epoch, height, indices) of each batch."""
    return [
        (int(images[0].max()), images.shape[-1], [int(t["image_id"]) for t in targets]) for images, targets in loader
    ]


@pytest.mark.parametrize("sampler", ["fixed", "multi-scale", "multi-size"])
@pytest.mark.parametrize("workers", [0, 1])
def test_epochs(sampler: str, workers: int) -> None:
    loader = train_loader(Numbers(23), recipe(sampler=sampler, workers=workers))
    first = None
    for epoch in (0, 1):
        ahead = iter(loader)  # as Lightning does, before it says which epoch it is
        loader.sampler.set_epoch(epoch)
        batches = seen(ahead)
        assert len(batches) == len(loader)
        assert {batch[0] for batch in batches} == {epoch}
        assert sorted(i for batch in batches for i in batch[2]) == list(range(23))
        assert {batch[1] for batch in batches} <= ({64} if sampler == "fixed" else {32, 64, 96})
        assert min(len(batch[2]) for batch in batches) >= 2
        assert batches != first
        first = batches
    assert loader.total_steps(5) == sum(loader.batch_sampler.num_batches(epoch) for epoch in range(5))


@pytest.mark.parametrize("sampler", ["fixed", "multi-scale"])
@pytest.mark.parametrize("workers", [0, 2])
def test_going_on_after_any_batch(sampler: str, workers: int) -> None:
    options = recipe(sampler=sampler, workers=workers)
    whole = {epoch: run(train_loader(Numbers(23), options), epoch)[0] for epoch in (0, 1, 2)}
    for stop in range(1, len(whole[1]) + 1):
        _, state = run(train_loader(Numbers(23), options), 1, stop)
        loader = train_loader(Numbers(23), options)
        loader.set_epoch(1)
        loader.load_state_dict(state)
        assert len(loader) == len(whole[1])
        assert run(loader, 1)[0] == whole[1][stop:]
        assert run(loader, 2)[0] == whole[2]


def run(loader: EpochLoader, epoch: int, stop: int | None = None) -> tuple[list, dict]:
    """The batches of an epoch up to one, and the state after it."""
    loader.set_epoch(epoch)
    batches = []
    for images, targets in loader:
        batches.append((int(images[0].max()), images.shape[-1], [int(t["image_id"]) for t in targets]))
        if len(batches) == stop:
            break
    return batches, loader.state_dict()


def test_a_state_of_an_epochs_end_leaves_the_next_epoch_alone() -> None:
    """Lightning has counted the epoch as over when it saved, and asks for the length of the next one."""
    options = recipe(sampler="multi-scale")
    _, state = run(train_loader(Numbers(23), options), 3)
    loader = train_loader(Numbers(23), options)
    wanted = run(train_loader(Numbers(23), options), 4)[0]
    loader.set_epoch(4)
    loader.load_state_dict(state)
    assert len(loader) == len(wanted)
    assert run(loader, 4)[0] == wanted


@pytest.mark.parametrize("sampler", ["fixed", "multi-scale"])
def test_two_processes_see_what_one_sees(sampler: str) -> None:
    alone = seen(train_loader(Numbers(24), recipe(sampler=sampler, num_sizes=1, min_size=(64, 64), max_size=(64, 64))))
    options = recipe(sampler=sampler, num_sizes=1, min_size=(64, 64), max_size=(64, 64))
    parts = [seen(train_loader(Numbers(24), options, rank=rank, world_size=2)) for rank in (0, 1)]
    for whole, first, second in zip(alone, *parts, strict=True):
        assert sorted(whole[2]) == sorted(first[2] + second[2])


def test_validation_repeats_nothing() -> None:
    for world_size in (1, 2, 3, 8):
        parts = [seen(eval_loader(Numbers(5), recipe(), rank=r, world_size=world_size)) for r in range(world_size)]
        assert sorted(i for part in parts for batch in part for i in batch[2]) == list(range(5))


@pytest.mark.parametrize(
    ("changes", "world_size", "message"),
    [
        ({"batch_size": 5}, 2, "batch_size 5 cannot be shared out evenly to 2 processes"),
        ({"batch_size": 24}, 1, "batch_size 24 is more than the 23 training images"),
        ({"sampler": "multi-scale", "batch_size": 2}, 1, "a step at 96 x 96 pixels has one image on each device"),
        ({"sampler": "multi-scale", "max_pixels": 9000}, 1, "max_pixels must be at least 9216, one image"),
        ({"sampler": "multi-size", "max_pixels": 9300}, 1, "max_pixels must be at least 55296, 6 images"),
    ],
)
def test_what_cannot_work(changes: dict, world_size: int, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        train_loader(Numbers(23), recipe(**changes), world_size=world_size)
