"""What data sets of every task share: images of any size on demand, random transforms that repeat, broken files."""

import copy
import logging
import random
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Generic, Protocol, Self, TypeVar

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset

from mvdet.data.io.faults import BadData, BadItemError, Remark
from mvdet.data.io.images import BadImageError

Target = dict[str, Tensor]
Sample = tuple[Tensor, Target]
Size = tuple[int, int]

_FILE_THREADS = 8  # for the latency of network disks; on a local one, one thread would do

logger = logging.getLogger(__name__)


class Transform(Protocol):
    """A transform that can be seeded, as albumentations' `Compose`."""

    def __call__(self, **data: Any) -> Mapping[str, Any]:
        """Transform `image` [H, W, 3] uint8 together with what the task has beside it, each under its name."""

    def set_random_state(self, random_generator: np.random.Generator, py_random: random.Random) -> None:
        """Make all later draws come from these generators."""


TransformFactory = Callable[[int, int], Transform]
"""Builds the transform for images of `(height, width)`; must be picklable where workers are spawned."""


class Record(Protocol):
    """One image as its task describes it: with its files, and its objects or its label."""

    @property
    def image_id(self) -> int:
        """The image's id, unique in the data set."""


AnyRecord = TypeVar("AnyRecord", bound=Record)
Loaded = TypeVar("Loaded")
AnyTransform = TypeVar("AnyTransform")


class RecordDataset(Dataset[Sample], ABC, Generic[AnyRecord, Loaded, AnyTransform]):
    """Base of the data sets that are a list of records; see `DetectionDataset` for what it promises.

    A subclass calls `_use` with its records once it has looked at them, reads one in `_load`, and makes the sample.

    Args:
        bad_data: holds the policy and what was found.
        train: whether the data set is for training, where another image may take the place of one that cannot be read.
        transform: builds the transform for `(height, width)`; None returns stored images as they are.
        size: `(height, width)` of the images that an index alone gives.
        seed: of the transforms, 0 or more; None takes torch's generator.

    Attributes:
        part: the share of its images that a restricted data set has; `bad_data` is that of the whole.

    Raises:
        ValueError: sizes or seeds out of range.
    """

    records: Sequence[AnyRecord]
    part = 1.0

    def __init__(
        self,
        bad_data: BadData,
        *,
        train: bool,
        transform: Callable[[int, int], AnyTransform] | None,
        size: Size,
        seed: int | None,
    ) -> None:
        if seed is not None and seed < 0:
            raise ValueError(f"seed must be at least 0, got {seed}")
        self.bad_data = bad_data
        self.train = train
        self.transform = transform
        self.size = _checked_size(size)
        self.seed = seed
        self._transforms: dict[Size, AnyTransform] = {}
        # In shared memory: workers, persistent ones too, see the epoch change, and tell which files they could not read
        self._epoch = _shared(torch.zeros((), dtype=torch.int64))

    @abstractmethod
    def _load(self, record: AnyRecord) -> Loaded:
        """Read a record's files; raises BadImageError where they cannot be used."""

    def __len__(self) -> int:
        return len(self.records)

    def set_epoch(self, epoch: int) -> None:
        """Choose the epoch that `seed` is combined with; workers that are running already follow."""
        self._epoch.fill_(epoch)

    def with_transform(self, transform: Callable[[int, int], AnyTransform] | None, size: Size) -> Self:
        """The same images under another transform, at another default size; epochs are set for both at once."""
        other = copy.copy(self)
        other.transform, other._transforms, other.size = transform, {}, _checked_size(size)
        return other

    def restricted(self, indices: Sequence[int]) -> Self:
        """The same data set with some of its images only, in the order of the indices."""
        other = copy.copy(self)
        other.records = self._records_at(indices)
        other._unreadable = _shared(self._unreadable[list(indices)])
        other.part = self.part * len(indices) / len(self)
        return other

    def _records_at(self, indices: Sequence[int]) -> Sequence[AnyRecord]:
        return [self.records[index] for index in indices]

    def summary(self) -> str:
        """What was left out, of the annotations and of the files that turned out unreadable since."""
        unreadable = int(self._unreadable.sum())
        return self.bad_data.summary() + (f"\n  and {unreadable} files that could not be decoded" if unreadable else "")

    def _use(self, records: Sequence[AnyRecord]) -> None:
        """Take these records; raises ValueError for bad data under "error", or if no record is left."""
        self.records = records
        self.bad_data.finish()
        if not len(records):
            raise ValueError(f"{self.bad_data.source}: no usable image; {self.bad_data.summary()}")
        self._unreadable = _shared(torch.zeros(len(records), dtype=torch.bool))

    def _size_and_index(self, item: int | tuple[int, int, int]) -> tuple[Size, int]:
        """The size and the index that are asked for.

        Raises:
            ValueError: a size that cannot be, or that no transform could give.
        """
        if not isinstance(item, tuple):
            return self.size, item
        size = _checked_size(item[:2])
        if self.transform is None:
            raise ValueError(f"size {size} was asked for, but the data set of {self.bad_data.source} has no transform")
        return size, item[2]

    def _read(self, index: int) -> tuple[AnyRecord, Loaded]:
        """The record at `index` and its content, or the next one that can be read where the policy allows that."""
        if not -len(self) <= index < len(self):
            raise IndexError(f"index {index} of a data set of {len(self)} images")
        for position in range(index % len(self), index % len(self) + len(self)):
            if self._unreadable[position % len(self)]:
                continue
            record = self.records[position % len(self)]
            try:
                return record, self._load(record)
            except BadImageError as error:
                message = f"image {record.image_id}: {error.fault}: {error}"
                if self.bad_data.policy == "error":
                    raise ValueError(message) from error
                if not self.train:
                    raise ValueError(f"{message}; in evaluation no other image can take its place") from error
                self._unreadable[position % len(self)] = True
                logger.warning("%s; left out, the next image takes its place", message)
        raise ValueError(f"{self.bad_data.source}: not one of {len(self)} images can be read")

    def _transform_for(self, size: Size) -> AnyTransform:
        """The transform for a size, built when it is first asked for; there must be a `transform`."""
        if size not in self._transforms:
            assert self.transform is not None
            self._transforms[size] = self.transform(*size)
        return self._transforms[size]

    def _seeds(self, index: int) -> np.random.SeedSequence:
        """What a sample's random numbers come from: seed, epoch and index, or torch's generator without a seed."""
        if self.seed is None:
            return np.random.SeedSequence(int(torch.randint(2**63 - 1, ())))
        return np.random.SeedSequence([self.seed, int(self._epoch), index % len(self)])

    def _transformed(
        self: "RecordDataset[AnyRecord, Loaded, Transform]", size: Size, index: int, **data: Any
    ) -> Mapping[str, Any]:
        """`data` after the transform for `size`, with the random state of `index`; there must be a transform."""
        transform = self._transform_for(size)
        generator = np.random.default_rng(self._seeds(index))
        transform.set_random_state(generator, random.Random(int(generator.integers(2**63))))
        return transform(**data)


def with_good_files(
    records: Iterable[AnyRecord], check: Callable[[AnyRecord], str | None], bad_data: BadData
) -> list[AnyRecord]:
    """The records whose files pass `check`; where it raises BadItemError, that is reported.

    Args:
        records: one for each image.
        check: looks at a record's files, and returns the picture whose orientation is doubtful, if it is.
        bad_data: takes what is found.
    """
    records = list(records)

    def checked(record: AnyRecord) -> str | BadItemError | None:
        try:
            return check(record)
        except BadItemError as error:
            return error

    good = []
    with ThreadPoolExecutor(_FILE_THREADS) as pool:
        for record, found in zip(records, pool.map(checked, records), strict=True):
            if isinstance(found, BadItemError):
                bad_data.report(found.fault, f"image {record.image_id}: {found}")
                continue
            if found is not None:
                bad_data.remark(Remark.DOUBTFUL_ORIENTATION, found)
            good.append(record)
    return good


def _checked_size(size: Sequence[int]) -> Size:
    height, width = size
    if height < 1 or width < 1:
        raise ValueError(f"size must be (height, width) of at least 1, got {tuple(size)}")
    return int(height), int(width)


def _shared(values: Tensor) -> Tensor:
    values.share_memory_()
    return values
