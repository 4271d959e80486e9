import itertools
import json
import pickle
import random
import subprocess
import sys
import tracemalloc
from collections import Counter
from typing import Any

import numpy as np
import pytest
import torch
from torch.utils.data import DataLoader, Dataset

from mvdet.data import FixedSizeBatchSampler, MultiScaleBatchSampler, MultiSizeBatchSampler
from mvdet.data.samplers import PlannedBatchSampler

SAMPLERS: list[type[PlannedBatchSampler]] = [FixedSizeBatchSampler, MultiScaleBatchSampler, MultiSizeBatchSampler]
Batches = list[list[tuple[int, int, int]]]
every_sampler = pytest.mark.parametrize("kind", SAMPLERS)


def options(kind: type, rng: random.Random) -> dict[str, Any]:
    """Random options, but the number of processes."""
    chosen: dict[str, Any] = {"seed": rng.choice([0, 1, rng.randrange(2**40)]), "shuffle": rng.random() < 0.7}
    batch = rng.choice([1, 2, 3, 7, 16])
    if kind is FixedSizeBatchSampler:
        return chosen | {"size": (rng.randint(1, 9), rng.randint(1, 9)), "batch_size": batch}
    low = (rng.randint(4, 12), rng.randint(4, 12))
    chosen |= {"base_size": (8, 12), "base_batch_size": batch, "divisor": rng.choice([1, 2, 4]), "min_size": low}
    chosen |= {"max_size": (low[0] + rng.randint(0, 20), low[1] + rng.randint(0, 20))}
    return chosen | {"num_sizes": rng.randint(1, 6), "growth_epochs": rng.choice([0, 0, 1, 4])}


def on_ranks(kind: type, num_samples: int, replicas: int, epoch: int, chosen: dict[str, Any]) -> list[Batches]:
    """What each process gets, and that its length is true."""
    ranks = []
    for rank in range(replicas):
        sampler = kind(num_samples, num_replicas=replicas, rank=rank, **chosen)
        sampler.set_epoch(epoch)
        ranks.append(list(sampler))
        assert len(sampler) == sampler.num_batches(epoch) == len(ranks[-1])
    return ranks


def settings(kind: type, count: int) -> list[Any]:
    cases = []
    for seed in range(count):
        rng = random.Random(f"{kind.__name__} {seed}")
        num_samples = rng.choice([1, 2, rng.randint(1, 40), rng.randint(1, 600)])
        replicas, epoch = rng.choice([1, 2, 3, 8, 13]), rng.choice([0, 1, 2, 50])
        cases.append((kind, num_samples, replicas, epoch, options(kind, rng)))
    return cases


@pytest.mark.parametrize(
    "case", [case for kind in SAMPLERS for case in settings(kind, 60)], ids=lambda c: c[0].__name__
)
def test_every_process_takes_the_same_steps_and_every_sample_comes(case: Any) -> None:
    kind, num_samples, replicas, epoch, chosen = case
    ranks = on_ranks(kind, num_samples, replicas, epoch, chosen)
    allowed = {(height, width): batch for height, width, batch in kind(num_samples, **chosen).pairs_at(epoch)}
    for number, steps in enumerate(zip(*ranks, strict=True)):  # as many steps
        assert len({(height, width, len(step)) for step in steps for height, width, _ in step}) == 1
        ((size, batch),) = {(step[0][:2], len(step)) for step in steps}
        last = number == len(ranks[0]) - 1
        assert 1 <= batch <= allowed[size] if last else batch == allowed[size]
    counts = Counter(index for batches in ranks for step in batches for *_, index in step)
    assert set(counts) == set(range(num_samples))
    assert sum(counts.values()) - num_samples == -num_samples % replicas < replicas
    assert all(type(index) is int for index in counts)  # not numpy's: such are no keys of a JSON, nor fast


@every_sampler
def test_what_all_processes_have_is_one_run_of_a_single_ones_order(kind: Any) -> None:
    chosen = options(kind, random.Random(0)) | {"shuffle": True, "seed": 5}
    (alone,) = on_ranks(kind, 90, 1, 3, chosen)
    order = [index for step in alone for *_, index in step]
    together = [
        [index for turn in zip(*steps, strict=True) for *_, index in turn]
        for steps in zip(*on_ranks(kind, 90, 3, 3, chosen), strict=True)
    ]
    assert list(itertools.chain(*together)) == order
    assert sorted(order) == list(range(90)) != order


@every_sampler
def test_a_plan_is_a_function_of_seed_and_epoch(kind: Any) -> None:
    def plan(seed: int, epoch: int) -> Batches:
        sampler = kind(200, seed=seed)
        sampler.set_epoch(epoch)
        return list(sampler)

    sampler = kind(200, seed=3)
    for epoch in range(4):  # by running
        sampler.set_epoch(epoch)
        assert list(sampler) == list(sampler) == plan(3, epoch)
    plans = [plan(seed, epoch) for seed in (3, 4) for epoch in (0, 1)]
    assert all(a != b for a, b in itertools.combinations(plans, 2))


def test_the_plan_of_this_version() -> None:
    """A run may be resumed with other versions of numpy and of us: this must not change."""
    sampler = MultiScaleBatchSampler(15, base_size=(64, 64), base_batch_size=2, min_size=(32, 32), max_size=(64, 64))
    sampler.set_epoch(1)
    assert [[step[0][0], *(index for *_, index in step)] for step in sampler] == [
        [32, 6, 12, 3, 5, 8, 7, 9, 0],
        [64, 11, 4],
        [64, 1, 13],
        [32, 14, 10, 2],
    ]


@pytest.mark.parametrize("num_samples", range(1, 40))
def test_the_last_step_can_be_given_two_samples(num_samples: int) -> None:
    sampler = FixedSizeBatchSampler(num_samples, size=(32, 32), batch_size=4, min_batch_size=2)
    batches = [len(batch) for batch in sampler]
    assert sum(batches) == num_samples
    assert batches == ([4] * (num_samples // 4 - 1) + [3, 2] if num_samples % 4 == 1 and num_samples > 4 else batches)
    assert min(batches) >= min(2, num_samples)
    unchanged = [len(batch) for batch in FixedSizeBatchSampler(num_samples, size=(32, 32), batch_size=4)]
    assert len(batches) == len(unchanged)
    assert batches == unchanged or unchanged[-1] == 1
    singles = FixedSizeBatchSampler(num_samples, size=(32, 32), batch_size=1, min_batch_size=2)
    assert [len(batch) for batch in singles] == [1] * num_samples  # nothing can spare a sample


@every_sampler
@pytest.mark.parametrize("num_replicas", [1, 2, 3])
@pytest.mark.parametrize("base_batch_size", [2, 3])
def test_no_step_has_one_sample(kind: Any, num_replicas: int, base_batch_size: int) -> None:
    """A step of two has none to spare: the last sample joins it, in every process, and every plan adds up."""
    sizes = {"size": (32, 32), "batch_size": base_batch_size}
    if kind is not FixedSizeBatchSampler:
        sizes = {"base_size": (32, 32), "base_batch_size": base_batch_size, "min_size": (32, 32), "max_size": (32, 32)}
    for num_samples in range(num_replicas * 2, 30):
        ranks = [
            kind(num_samples, min_batch_size=2, num_replicas=num_replicas, rank=rank, **sizes)
            for rank in range(num_replicas)
        ]
        batches = [[[index for *_, index in batch] for batch in sampler] for sampler in ranks]
        assert {len(batch) for one in batches for batch in one} <= {2, 3, 4}
        assert {len(one) for one in batches} == {len(sampler) for sampler in ranks}
        assert len({len(one) for one in batches}) == 1
        assert {index for one in batches for batch in one for index in batch} == set(range(num_samples))


@every_sampler
def test_global_random_numbers_are_not_touched(kind: Any) -> None:
    def numbers() -> tuple:
        return random.random(), np.random.random(), torch.rand(()).item()

    def seeded() -> None:
        random.seed(1)
        np.random.seed(1)
        torch.manual_seed(1)

    seeded()
    wanted = numbers()
    seeded()
    sampler = kind(100)
    sampler.set_epoch(2)
    plan = list(sampler)
    assert numbers() == wanted
    assert list(sampler) == plan  # nor do they matter


def test_sizes_are_drawn_uniformly() -> None:
    sampler = MultiScaleBatchSampler(100_000, base_batch_size=8)
    counts = Counter(step[0][0] for step in sampler)
    assert set(counts) == {160, 192, 256, 288, 320}
    wanted = len(sampler) / 5
    assert sum((count - wanted) ** 2 / wanted for count in counts.values()) < 18.5  # chi squared, p = 0.001


@every_sampler
def test_without_shuffling_samples_come_in_order(kind: Any) -> None:
    assert [index for step in kind(300, shuffle=False) for *_, index in step] == list(range(300))


@pytest.mark.parametrize("num_samples", [1, 2, 7, 8, 24, 25])
@pytest.mark.parametrize("replicas", [1, 3, 4])
def test_validation_repeats_nothing(num_samples: int, replicas: int) -> None:
    chosen = {"shuffle": False, "repeat": False, "batch_size": 2, "size": (5, 6)}
    ranks = on_ranks(FixedSizeBatchSampler, num_samples, replicas, 0, chosen)
    assert sorted(index for batches in ranks for step in batches for *_, index in step) == list(range(num_samples))
    assert all(1 <= len(step) <= 2 for batches in ranks for step in batches)
    counts = [sum(map(len, batches)) for batches in ranks]
    assert max(counts) - min(counts) <= 1


def test_growth_is_a_function_of_the_epoch() -> None:
    sampler = MultiScaleBatchSampler(2000, growth_epochs=8)
    largest = []
    for epoch in range(10):
        sampler.set_epoch(epoch)
        largest.append(max(step[0][0] for step in sampler))
        assert {(*step[0][:2], len(step)) for step in list(sampler)[:-1]} <= set(sampler.pairs)
    assert largest == [160, 160, 192, 192, 256, 256, 288, 288, 320, 320]
    sampler.set_epoch(4)
    assert max(step[0][0] for step in sampler) == 256


@every_sampler
@pytest.mark.parametrize("epoch", [0, 3])
def test_a_run_resumed_anywhere_goes_on_with_the_next_step(kind: Any, epoch: int) -> None:
    sampler = kind(500, num_replicas=2, rank=1, seed=7)
    sampler.set_epoch(epoch)
    whole = list(sampler)
    sampler.set_epoch(epoch + 1)
    following = list(sampler)
    sampler.set_epoch(epoch)
    for done in range(len(whole) + 1):
        state = json.loads(json.dumps(sampler.state_dict(done)))
        resumed = kind(500, num_replicas=2, rank=1, seed=7)
        resumed.load_state_dict(state)
        assert (resumed.epoch, resumed.start_batch, len(resumed)) == (epoch, done, len(whole))
        resumed.set_epoch(epoch)  # as the training loop does
        assert list(resumed) == whole[done:]
        assert resumed.state_dict() == sampler.state_dict(len(whole))
        assert list(resumed) == whole  # a loop that sets no epoch
        resumed.load_state_dict(state)
        resumed.set_epoch(epoch + 1)
        assert list(resumed) == following


def test_the_state_counts_the_steps_given_out() -> None:
    sampler = MultiScaleBatchSampler(500)
    sampler.set_epoch(2)
    whole = list(sampler)
    iterator = iter(sampler)
    for _ in range(3):
        next(iterator)
    state = sampler.state_dict()
    assert (state["epoch"], state["batches_done"]) == (2, 3)
    resumed = MultiScaleBatchSampler(500)
    resumed.load_state_dict(state)
    iterator = iter(resumed)
    assert next(iterator) == whole[3]
    assert resumed.state_dict()["batches_done"] == 4  # of the epoch, not of the resumed part
    resumed.set_epoch(3)
    assert resumed.state_dict()["batches_done"] == 0
    next(iterator)  # what workers still fetch of the epoch before
    assert resumed.state_dict()["batches_done"] == 0


def test_any_process_goes_on_from_the_first_ones_state() -> None:
    first, second = (MultiScaleBatchSampler(500, num_replicas=2, rank=rank) for rank in (0, 1))
    whole = list(second)
    second.load_state_dict(first.state_dict(2))
    assert list(second) == whole[2:]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"num_samples": 501}, "num_samples is 500 in the state and 501 here"),
        ({"seed": 1}, "seed is 0 in the state and 1 here"),
        ({"shuffle": False}, "shuffle is True in the state and False here"),
        ({"num_replicas": 3}, "num_replicas is 2 in the state and 3 here"),
        ({"base_size": (256, 288)}, r"base_size is \[256, 256\] in the state and \[256, 288\] here"),
        ({"base_batch_size": 31, "divisor": 16}, "base_batch_size is 32 .* 31 here; divisor is 32 .* 16 here"),
        ({"min_size": (128, 160)}, "min_size is"),
        ({"max_size": (352, 320)}, "max_size is"),
        ({"num_sizes": 6}, "num_sizes is 5 in the state and 6 here"),
        ({"max_pixels": 10**9}, "max_pixels is None in the state and 1000000000 here"),
        ({"growth_epochs": 2}, "growth_epochs is 0 in the state and 2 here"),
    ],
)
def test_the_state_of_another_plan_is_refused(change: dict[str, Any], message: str) -> None:
    common: dict[str, Any] = {"num_samples": 500, "num_replicas": 2, "rank": 0}
    state = MultiScaleBatchSampler(**common).state_dict(1)
    other = MultiScaleBatchSampler(**common | change)
    with pytest.raises(ValueError, match=f"the state is of another plan: {message}"):
        other.load_state_dict(state)
    assert (other.epoch, other.start_batch) == (0, 0)


def test_the_state_of_another_sampler_is_refused() -> None:
    with pytest.raises(ValueError, match=r"base_batch_size is absent in the state and 32 here"):
        MultiScaleBatchSampler(100).load_state_dict(MultiSizeBatchSampler(100).state_dict())
    with pytest.raises(ValueError, match=r"batches_done, settings missing in \['epoch'\]"):
        MultiScaleBatchSampler(100).load_state_dict({"epoch": 1})


@every_sampler
@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ({"num_samples": 0}, "num_samples must be at least 1, got 0"),
        ({"seed": -1}, "seed must be at least 0, got -1"),
        ({"num_replicas": 0}, "num_replicas must be at least 1, got 0"),
        ({"num_replicas": 3, "rank": 3}, "rank must be at least 0 and below num_replicas 3, got 3"),
        ({"rank": -1}, "rank must be at least 0 and below num_replicas 1, got -1"),
    ],
)
def test_settings_that_cannot_work(kind: Any, setting: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        kind(**{"num_samples": 10} | setting)


def test_more_settings_that_cannot_work() -> None:
    with pytest.raises(ValueError, match="growth_epochs must be at least 0, got -1"):
        MultiScaleBatchSampler(10, growth_epochs=-1)
    with pytest.raises(ValueError, match=r"at least 3276800, 32 images of the largest size \(320, 320\), got 3276799"):
        MultiSizeBatchSampler(10, max_pixels=3276799)
    with pytest.raises(ValueError, match="size's height must be at least 1, got 0"):
        FixedSizeBatchSampler(10, size=(0, 5))
    with pytest.raises(ValueError, match="batch_size must be at least 1, got 0"):
        FixedSizeBatchSampler(10, batch_size=0)
    sampler = MultiScaleBatchSampler(10, base_batch_size=1)
    with pytest.raises(ValueError, match="epoch must be at least 0, got -1"):
        sampler.set_epoch(-1)
    with pytest.raises(ValueError, match=rf"batches_done must be at most {len(sampler)} in epoch 0, got 99"):
        sampler.state_dict(99)


@every_sampler
def test_a_copy_in_another_process_has_the_same_plan(kind: Any) -> None:
    sampler = kind(100)
    sampler.set_epoch(4)
    assert list(pickle.loads(pickle.dumps(sampler))) == list(sampler)


class Echo(Dataset):
    def __getitem__(self, item: Any) -> tuple[int, int, int]:
        return item


@pytest.mark.parametrize("workers", [0, 1])
def test_a_loader_takes_its_items_as_they_are(workers: int) -> None:
    sampler = MultiScaleBatchSampler(60, base_batch_size=4)
    loader: DataLoader = DataLoader(Echo(), batch_sampler=sampler, num_workers=workers, collate_fn=list)
    assert len(loader) == len(sampler)
    assert list(loader) == list(sampler)


def test_a_large_epoch_is_planned_in_little_memory() -> None:
    sampler = MultiScaleBatchSampler(1_280_000, base_batch_size=128, num_replicas=8, rank=3)
    tracemalloc.start()
    try:
        first = next(iter(sampler))
        assert len(sampler) > 500
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert first
    assert 8 * 1_280_000 < peak < 60e6  # numpy's arrays are counted


def test_importing_is_cheap() -> None:
    code = """
import sys, mvdet.data
assert "torch" not in sys.modules and "numpy" not in sys.modules
from mvdet.data import MultiScaleBatchSampler, size_batch_pairs
assert {"MultiScaleBatchSampler", "FixedSizeBatchSampler"} <= set(dir(mvdet.data))
assert not {"albumentations", "cv2", "pytorch_lightning", "ultralytics", "torchvision"} & set(sys.modules)
"""
    subprocess.run([sys.executable, "-c", code], check=True)
