"""A data set whose images say which sample they are, at what size, in which epoch; and small runs."""

from collections.abc import Callable

import pytest
import torch
from small_runs import *  # noqa: F403 - the fixtures
from torch.utils.data import Dataset

from mvdet.training.detection import SSDLiteRecipe


class Numbers(Dataset):
    """A sample's pixels are the epoch's number, and `image_id` is its own."""

    class_names = ("number",)

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


@pytest.fixture
def numbers() -> Callable[[int], Numbers]:
    """Makes a data set of so many samples."""
    return Numbers


@pytest.fixture
def recipe() -> Callable[..., SSDLiteRecipe]:
    """Makes a recipe of small images: six a step, 64 pixels, or 32 to 96 where the sampler varies them."""
    sizes = {"size": (64, 64), "min_size": (32, 32), "max_size": (96, 96), "num_sizes": 3}
    return lambda **changes: SSDLiteRecipe(**{"batch_size": 6, "workers": 0, **sizes, **changes})


def batches_of(loader) -> list[tuple[int, int, list[int]]]:
    """(epoch, height, indices) of each batch."""
    return [
        (int(images[0].max()), images.shape[-1], [int(t["image_id"]) for t in targets]) for images, targets in loader
    ]


@pytest.fixture
def seen() -> Callable[..., list[tuple[int, int, list[int]]]]:
    """Goes through a loader: (epoch, height, indices) of each batch."""
    return batches_of
