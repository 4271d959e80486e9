"""The data sets of a detection run, and their loaders."""

from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch.utils.data import DataLoader
from torch.utils.data.distributed import DistributedSampler

from mvdet.data.bccd import find_voc_folder
from mvdet.data.coco import CocoDetection, coco_split
from mvdet.data.detection import DetectionDataset, Sample, TransformFactory, collate, init_worker
from mvdet.data.detection_transforms import eval_transform, train_transform
from mvdet.data.shapes import generate
from mvdet.data.voc_detection import VocDetection
from mvdet.training.ssdlite_recipe import SSDLiteRecipe


def detection_dataset(recipe: SSDLiteRecipe, *, train: bool, size: tuple[int, int] | None = None) -> DetectionDataset:
    """The training or the validation images of a recipe.

    Args:
        recipe: says which, and how they are augmented.
        train: the training images, augmented.
        size: height and width in place of the recipe's.

    Raises:
        FileNotFoundError, ValueError: as the data sets.
        ConnectionError: BCCD must be downloaded and cannot be.
    """
    splits = recipe.train_split if train else recipe.val_split
    transform: TransformFactory = eval_transform
    if train:
        transform = partial(
            train_transform,
            sample_crop=recipe.sample_crop,
            photometric=recipe.photometric,
            flip=recipe.flip,
            zoom_out=recipe.zoom_out,
        )
    root = _data_root(recipe)
    options: Any = {
        "train": train,
        "on_bad_data": recipe.on_bad_data,
        "transform": transform,
        "size": size or recipe.size,
        "seed": recipe.seed,
    }
    if recipe.data_format in ("shapes", "coco"):
        if len(splits) != 1:
            raise ValueError(f"a coco data set is trained and evaluated on one split each, got {', '.join(splits)}")
        return CocoDetection(*coco_split(root, splits[0]), **options)
    if any(":" in split for split in splits):
        pairs = [(year, split) for year, _, split in (split.partition(":") for split in splits)]
        return VocDetection(root, image_sets=pairs, class_names=recipe.class_names, **options)
    if len(splits) != 1:
        raise ValueError(f"several voc splits are written YEAR:SPLIT, as VOC2007:trainval, got {', '.join(splits)}")
    return VocDetection(root, splits[0], class_names=recipe.class_names, **options)


def train_loader(
    dataset: DetectionDataset, recipe: SSDLiteRecipe, *, rank: int = 0, world_size: int = 1
) -> "DataLoader[Sample]":
    """Shuffled batches; all processes together see the batches that a single one would see.

    Raises:
        ValueError: if the batch cannot be shared out evenly, or is larger than the data set.
    """
    if recipe.batch_size % world_size:
        raise ValueError(f"batch_size {recipe.batch_size} cannot be shared out evenly to {world_size} processes")
    if recipe.batch_size > len(dataset):
        raise ValueError(f"batch_size {recipe.batch_size} is more than the {len(dataset)} training images")
    sampler = EpochSampler(dataset, num_replicas=world_size, rank=rank, seed=recipe.seed)
    return _loader(dataset, recipe, sampler, recipe.batch_size // world_size, drop_last=True)


def eval_loader(
    dataset: DetectionDataset, recipe: SSDLiteRecipe, *, rank: int = 0, world_size: int = 1
) -> "DataLoader[Sample]":
    """Batches in order; a few images come twice where the processes must be evened out."""
    sampler: DistributedSampler = DistributedSampler(dataset, world_size, rank, shuffle=False)
    return _loader(dataset, recipe, sampler, max(1, recipe.batch_size // world_size), drop_last=False)


class EpochSampler(DistributedSampler):
    """PyTorch's sampler, which also tells its data set the epoch, for the augmentations."""

    def set_epoch(self, epoch: int) -> None:
        """Called by Lightning before each epoch."""
        super().set_epoch(epoch)
        assert isinstance(self.dataset, DetectionDataset)
        self.dataset.set_epoch(epoch)


def _loader(
    dataset: DetectionDataset, recipe: SSDLiteRecipe, sampler: DistributedSampler, batch_size: int, *, drop_last: bool
) -> "DataLoader[Sample]":
    return DataLoader(
        dataset,
        batch_size,
        sampler=sampler,
        num_workers=recipe.workers,
        collate_fn=collate,
        drop_last=drop_last,
        pin_memory=torch.cuda.is_available(),
        persistent_workers=recipe.workers > 0,
        worker_init_fn=init_worker,
    )


def _data_root(recipe: SSDLiteRecipe) -> Path:
    """Where the data lies; what makes or fetches itself is made or fetched."""
    if recipe.data_format == "shapes":
        return generate(recipe.data_root or Path("datasets/shapes"))
    if recipe.data_format == "bccd":
        return find_voc_folder(Path("datasets/BCCD_Dataset"), recipe.data_root)
    assert recipe.data_root is not None
    return recipe.data_root
