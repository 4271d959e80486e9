"""ultralytics' data set and loader, with the size of the images decided step by step."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from copy import copy
from functools import partial
from itertools import count
from math import ceil
from statistics import fmean
from typing import Any

import cv2
import numpy as np
from torch.utils.data import DataLoader, Dataset, Sampler
from ultralytics.data.build import InfiniteDataLoader
from ultralytics.data.dataset import YOLODataset
from ultralytics.utils import LOGGER, IterableSimpleNamespace

from mvdet.data.samplers import PlannedBatchSampler, SizeBatch
from mvdet.data.samplers.planned import SizedIndex

_BUFFER_BATCHES, _SMALLEST_BUFFER = 8, 8  # as in ultralytics: images of eight batches, which have one or more
_PLANS_PER_EPOCH = 1 << 20


class SizedDataset(Dataset[dict[str, Any]]):
    """A training set of ultralytics that gives a sample at the size that is asked for: `dataset[height, width, index]`.

    There is a view of the data set for each size, which shares files and labels with the others and has an image size,
    a pipeline of augmentations and a buffer of images for mosaics of its own: a sample is what a stock data set of that
    `imgsz` would give. All buffers together have as many pixels as the stock one. With `cache="ram"` the images are in
    memory once, at the largest size, and made smaller when asked for.

    Args:
        dataset: built for training, at the largest size.
        pairs: the sizes, each with its batch size, which decides the length of its buffer.
        hyp: ultralytics' settings, for the augmentations.
    """

    def __init__(self, dataset: YOLODataset, pairs: Sequence[SizeBatch], hyp: IterableSimpleNamespace) -> None:
        self.pairs = tuple(pairs)
        self.labels: list[dict[str, Any]] = dataset.labels  # ultralytics counts and draws them
        self.im_files: list[str] = dataset.im_files
        self.collate_fn = dataset.collate_fn
        self.views = {
            (pair.height, pair.width): _view(dataset, pair.height, pair.batch_size * _BUFFER_BATCHES // len(pairs))
            for pair in pairs
        }
        with _silence():  # the data set that the views are of has said all there is to say
            for view in self.views.values():
                view.transforms = view.build_transforms(copy(hyp))

    def __getitem__(self, item: SizedIndex) -> dict[str, Any]:
        height, width, index = item
        sample: dict[str, Any] = self.views[height, width][index]
        return sample

    def __len__(self) -> int:
        return len(self.labels)

    def close_mosaic(self, hyp: IterableSimpleNamespace) -> None:
        """No mosaic, mixup, cutmix or copy-paste from now on, at any size; ultralytics calls it."""
        first, *others = self.views.values()
        first.close_mosaic(copy(hyp))
        with _silence():
            for view in others:
                view.close_mosaic(copy(hyp))


@contextmanager
def _silence() -> Iterator[None]:
    """Nothing is logged by ultralytics meanwhile: every pipeline would list what is in it."""
    LOGGER.disabled = True
    try:
        yield
    finally:
        LOGGER.disabled = False


def _view(dataset: YOLODataset, size: int, buffer_length: int) -> YOLODataset:
    view = copy(dataset)
    view.imgsz = size
    if dataset.cache == "ram":
        view.load_image = partial(_load_smaller, dataset, size)
    else:
        view.buffer = []
        view.ims, view.im_hw0, view.im_hw = ([None] * dataset.ni for _ in range(3))
        view.max_buffer_length = min(dataset.ni, max(buffer_length, _SMALLEST_BUFFER), 1000)
    return view


def _load_smaller(dataset: YOLODataset, size: int, i: int) -> tuple[np.ndarray, tuple[int, int], tuple[int, int]]:
    """`YOLODataset.load_image` for a size, [h, w, C] uint8 with the longer side `size`, from images in memory."""
    image, original, _ = dataset.load_image(i)
    ratio = size / max(original)
    height, width = (min(ceil(side * ratio), size) for side in original)
    if image.shape[:2] != (height, width):
        image = cv2.resize(image, (width, height), interpolation=cv2.INTER_LINEAR).reshape(height, width, -1)
    return image, original, (height, width)


class SteadyBatchSampler(Sampler[list[SizedIndex]]):
    """A planned batch sampler whose epochs all have the same number of steps.

    ultralytics takes the number of steps once, and counts by it: warm-up, accumulation, progress. Where batches differ,
    so do the plans; of those that the sampler can make, this takes the ones with a number of steps next to the mean.
    They have every image as often as ever, and are a function of settings and epoch alone.

    Args:
        plan: what makes the plans; its epochs are searched for those that fit.
    """

    def __init__(self, plan: PlannedBatchSampler) -> None:
        self.plan = plan
        steps = [plan.num_batches(epoch) for epoch in range(100)]
        mean = fmean(steps)
        self.steps = min(n for n in steps if n >= mean)
        self.set_epoch(0)

    def __len__(self) -> int:
        return self.steps

    def __iter__(self) -> Iterator[list[SizedIndex]]:
        return iter(self.plan)

    def set_epoch(self, epoch: int) -> None:
        """Choose the epoch, before each pass."""
        self.plan.set_epoch(next(e for e in count(epoch * _PLANS_PER_EPOCH) if self.plan.num_batches(e) == self.steps))


class SteadyDataLoader(DataLoader[dict[str, Any]]):
    """Loads what the sampler's epoch holds, in a pass each; workers live on between passes, as in ultralytics' loader.

    That one's workers fetch into the next epoch before it is set: they would have the plan of the last one.

    Args:
        loader: ultralytics', whose data set and settings are taken.
        sampler: says which samples make a batch, and their size.
        batch_size: images in a batch at the base size, for what ultralytics derives from it.
    """

    def __init__(self, loader: InfiniteDataLoader, sampler: SteadyBatchSampler, batch_size: int) -> None:
        super().__init__(
            loader.dataset,
            batch_sampler=sampler,
            num_workers=loader.num_workers,
            collate_fn=loader.collate_fn,
            pin_memory=loader.pin_memory,
            pin_memory_device=loader.pin_memory_device,
            worker_init_fn=loader.worker_init_fn,
            generator=loader.generator,
            prefetch_factor=loader.prefetch_factor,
            persistent_workers=loader.num_workers > 0,
        )
        object.__setattr__(self, "sampler", sampler)  # DataLoader lets neither be set; ultralytics reads both
        object.__setattr__(self, "batch_size", batch_size)

    def __iter__(self) -> Iterator[dict[str, Any]]:  # type: ignore[override]
        """Starts with the first batch that is asked for: ultralytics makes iterators that it does not use."""
        yield from super().__iter__()

    def reset(self) -> None:
        """End the workers; the next pass starts others, with the data set as it is then."""
        if self._iterator is not None and self.num_workers:
            self._iterator._shutdown_workers()  # type: ignore[attr-defined]
        self._iterator = None

    close = reset
