"""The batches of a training run, and those that it is evaluated on."""

from collections.abc import Iterator
from typing import Any, Protocol

import torch
from torch.utils.data import DataLoader, Dataset

from mvdet.data.datasets.detection import collate, init_worker
from mvdet.data.samplers import (
    FixedSizeBatchSampler,
    MultiScaleBatchSampler,
    MultiSizeBatchSampler,
    PlannedBatchSampler,
)
from mvdet.training.recipe import TrainingRecipe


class ImageDataset(Protocol):
    """What a task trains on: `dataset[height, width, index]`."""

    class_names: tuple[str, ...]

    def __len__(self) -> int:
        """Number of images."""

    def __getitem__(self, item: int | tuple[int, int, int]) -> tuple[torch.Tensor, dict[str, torch.Tensor]]:
        """An image, uint8 [3, height, width], and its target, with `image_id`."""

    def set_epoch(self, epoch: int) -> None:
        """Makes the augmentations those of an epoch."""


class EpochLoader:
    """Batches of one epoch after the other, which can begin in the middle of one.

    Lightning calls `set_epoch` through `sampler`, and keeps `state_dict` in its checkpoints. It asks for an iterator
    before it sets the epoch: nothing is loaded until the first batch is asked for.

    Args:
        dataset: the images.
        batch_sampler: the plan of each epoch.
        workers: processes that load images.
    """

    def __init__(self, dataset: ImageDataset, batch_sampler: PlannedBatchSampler, workers: int) -> None:
        self.dataset = dataset
        self.batch_sampler = batch_sampler
        self._loader = _loader(dataset, batch_sampler, workers)
        self._done = batch_sampler.start_batch  # the sampler's own count is that of batches the workers have begun

    @property
    def sampler(self) -> "EpochLoader":
        """What Lightning tells the epoch."""
        return self

    def set_epoch(self, epoch: int) -> None:
        """Choose the epoch, for the plan and for the augmentations."""
        self.batch_sampler.set_epoch(epoch)
        self.dataset.set_epoch(epoch)
        self._done = self.batch_sampler.start_batch

    def __len__(self) -> int:
        """Batches of the whole epoch, those before its beginning in the middle included."""
        return len(self.batch_sampler)

    def __iter__(self) -> Iterator[Any]:
        self._done = self.batch_sampler.start_batch
        for batch in self._loader:
            self._done += 1
            yield batch

    def total_steps(self, epochs: int) -> int:
        """Batches of so many epochs."""
        return sum(self.batch_sampler.num_batches(epoch) for epoch in range(epochs))

    def state_dict(self) -> dict[str, Any]:
        """Epoch and number of batches that were trained on, with what defines the plan."""
        return self.batch_sampler.state_dict(self._done)

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Begin where a `state_dict` was made; raises ValueError if that was of another plan."""
        current = self.batch_sampler.epoch
        self.batch_sampler.load_state_dict(state)
        # A state of an epoch's end: Lightning may count that epoch as over or as still to be closed
        over = self.batch_sampler.start_batch == len(self)
        self.set_epoch(current if over else self.batch_sampler.epoch)


def train_loader(dataset: ImageDataset, recipe: TrainingRecipe, *, rank: int = 0, world_size: int = 1) -> EpochLoader:
    """Shuffled batches by the recipe's sampler.

    Raises:
        ValueError: if the batch cannot be shared out evenly, is larger than the data set, or sizes cannot work.
    """
    if recipe.batch_size % world_size:
        raise ValueError(f"batch_size {recipe.batch_size} cannot be shared out evenly to {world_size} processes")
    if recipe.batch_size > len(dataset):
        raise ValueError(f"batch_size {recipe.batch_size} is more than the {len(dataset)} training images")
    batch_size = recipe.batch_size // world_size
    common: Any = {"seed": recipe.seed, "num_replicas": world_size, "rank": rank, "min_batch_size": 2}
    if recipe.sampler == "fixed":
        sampler: PlannedBatchSampler = FixedSizeBatchSampler(
            len(dataset), size=recipe.size, batch_size=batch_size, **common
        )
    else:
        common |= {name: getattr(recipe, name) for name in ("min_size", "max_size", "num_sizes", "growth_epochs")}
        common |= {"divisor": recipe.size_divisor, "base_size": recipe.size, "base_batch_size": batch_size}
        kind = MultiScaleBatchSampler if recipe.sampler == "multi-scale" else MultiSizeBatchSampler
        sampler = kind(len(dataset), max_pixels=recipe.max_pixels or None, **common)
        height, width, least = min(sampler.pairs, key=lambda pair: pair.batch_size)
        if least == 1:
            raise ValueError(
                f"a step at {height} x {width} pixels has one image on each device, batch normalisation needs two: "
                f"raise batch_size {recipe.batch_size} or max_pixels {recipe.max_pixels}, or lower max_size"
            )
    return EpochLoader(dataset, sampler, recipe.workers)


def eval_loader(
    dataset: ImageDataset, recipe: TrainingRecipe, *, rank: int = 0, world_size: int = 1
) -> "DataLoader[Any]":
    """Batches in order; each image comes once in all processes together, so some may have a batch less."""
    sampler = FixedSizeBatchSampler(
        len(dataset),
        size=recipe.size,
        batch_size=max(1, recipe.batch_size // world_size),
        shuffle=False,
        repeat=False,
        num_replicas=world_size,
        rank=rank,
    )
    return _loader(dataset, sampler, recipe.workers)


def _loader(dataset: ImageDataset, sampler: PlannedBatchSampler, workers: int) -> "DataLoader[Any]":
    assert isinstance(dataset, Dataset)
    return DataLoader(
        dataset,
        batch_sampler=sampler,
        num_workers=workers,
        collate_fn=collate,
        pin_memory=torch.cuda.is_available(),
        persistent_workers=workers > 0,
        worker_init_fn=init_worker,
    )
