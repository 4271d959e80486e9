"""The batches of a run: Lightning's order of calls, processes, and sizes."""

from collections.abc import Callable
from typing import Any

import pytest

from mvdet.training.loaders import eval_loader, train_loader

Make = Callable[..., Any]


@pytest.mark.parametrize("sampler", ["fixed", "multi-scale", "multi-size"])
@pytest.mark.parametrize("workers", [0, 1])
def test_epochs(sampler: str, workers: int, numbers: Make, recipe: Make, seen: Make) -> None:
    loader = train_loader(numbers(23), recipe(sampler=sampler, workers=workers))
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
def test_two_processes_see_what_one_sees(sampler: str, numbers: Make, recipe: Make, seen: Make) -> None:
    alone = seen(train_loader(numbers(24), recipe(sampler=sampler, num_sizes=1, min_size=(64, 64), max_size=(64, 64))))
    options = recipe(sampler=sampler, num_sizes=1, min_size=(64, 64), max_size=(64, 64))
    parts = [seen(train_loader(numbers(24), options, rank=rank, world_size=2)) for rank in (0, 1)]
    for whole, first, second in zip(alone, *parts, strict=True):
        assert sorted(whole[2]) == sorted(first[2] + second[2])


def test_validation_repeats_nothing(numbers: Make, recipe: Make, seen: Make) -> None:
    for world_size in (1, 2, 3, 8):
        parts = [seen(eval_loader(numbers(5), recipe(), rank=r, world_size=world_size)) for r in range(world_size)]
        assert sorted(i for part in parts for batch in part for i in batch[2]) == list(range(5))


@pytest.mark.parametrize(
    ("changes", "world_size", "message"),
    [
        ({"batch_size": 5}, 2, "batch_size 5 cannot be shared out evenly to 2 processes"),
        ({"batch_size": 24}, 1, "batch_size 24 is more than the 23 training images"),
        ({"batch_size": 1}, 1, "a step at 64 x 64 pixels has one image on each device, .*: raise batch_size 1$"),
        ({"batch_size": 2, "sync_batch_norm": False}, 2, "a step at 64 x 64 pixels has one image on each device"),
        ({"sampler": "multi-scale", "batch_size": 2}, 1, "a step at 96 x 96 pixels has one image on each device"),
        ({"sampler": "multi-scale", "max_pixels": 9000}, 1, "max_pixels must be at least 9216, one image"),
        ({"sampler": "multi-size", "max_pixels": 9300}, 1, "max_pixels must be at least 55296, 6 images"),
    ],
)
def test_what_cannot_work(changes: dict, world_size: int, message: str, numbers: Make, recipe: Make) -> None:
    with pytest.raises(ValueError, match=message):
        train_loader(numbers(23), recipe(**changes), world_size=world_size)


def test_one_image_on_each_of_several_devices_is_normalised_with_the_others(numbers: Make, recipe: Make) -> None:
    assert len(train_loader(numbers(24), recipe(batch_size=2), world_size=2)) == 12


@pytest.mark.parametrize("sampler", ["fixed", "multi-scale", "multi-size"])
@pytest.mark.parametrize("world_size", [1, 2, 3])
def test_no_step_has_one_image(sampler: str, world_size: int, numbers: Make, recipe: Make, seen: Make) -> None:
    options = recipe(sampler=sampler, batch_size=2 * world_size, min_size=(32, 32), max_size=(64, 64))
    for count in range(6, 22):
        for rank in range(world_size):
            loader = train_loader(numbers(count), options, rank=rank, world_size=world_size)
            assert min(len(batch[2]) for batch in seen(loader)) >= 2
