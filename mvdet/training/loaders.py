"""The batches of a training run, and those that it is evaluated on."""

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
from mvdet.training.resume import EpochLoader


class ImageDataset(Protocol):
    """A data set that a task trains on, whose images come at any size: `dataset[height, width, index]`."""

    class_names: tuple[str, ...]

    def __len__(self) -> int:
        """Number of images."""

    def __getitem__(self, item: int | tuple[int, int, int]) -> tuple[torch.Tensor, dict[str, torch.Tensor]]:
        """An image, uint8 [3, height, width], and its target, with `image_id`."""

    def set_epoch(self, epoch: int) -> None:
        """Makes the augmentations those of an epoch."""


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
    if least == 1 and not (recipe.sync_batch_norm and world_size > 1):
        pixels = "" if recipe.sampler == "fixed" else f" or max_pixels {recipe.max_pixels}, or lower max_size"
        raise ValueError(
            f"a step at {height} x {width} pixels has one image on each device, batch normalisation needs two: "
            f"raise batch_size {recipe.batch_size}{pixels}"
        )
    return EpochLoader(_loader(dataset, sampler, recipe.workers), sampler, dataset.set_epoch)


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
