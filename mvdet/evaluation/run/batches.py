"""The batches of an evaluation, every image once and in order, and the device that they go to."""

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset
from tqdm import tqdm  # type: ignore[import-untyped]

from mvdet.data.datasets.detection import collate, init_worker

Batch = tuple[Tensor | list[Tensor], list[dict[str, Tensor]]]


def choose_device(name: str) -> torch.device:
    """The device that a `--device` argument means: PyTorch's names, or "auto" for the fastest one that is there.

    Raises:
        ValueError: no such device, or not on this machine.
    """
    accelerator = torch.accelerator.current_accelerator() if torch.accelerator.is_available() else None
    if name == "auto":
        return accelerator or torch.device("cpu")
    try:
        device = torch.device(name)
    except RuntimeError:
        raise ValueError(f"unknown device {name!r}; auto, cpu, cuda, cuda:1, mps ... are known") from None
    here = ["cpu"]
    if accelerator is not None:
        here += [accelerator.type, *(f"{accelerator.type}:{i}" for i in range(torch.accelerator.device_count()))]
    if name not in here:
        raise ValueError(f"device {name!r} is not on this machine; it has {', '.join(here)}")
    return device


def to_device(images: Tensor | list[Tensor], device: torch.device | str) -> Tensor | list[Tensor]:
    """A batch, or each of a list of images, on a device."""
    return images.to(device) if isinstance(images, Tensor) else [image.to(device) for image in images]


def evaluation_batches(dataset: Dataset[Any], *, batch_size: int, workers: int, description: str) -> Iterator[Batch]:
    """Images, stacked where their sizes are equal, and their targets.

    Args:
        dataset: of samples `(image, target)`.
        batch_size: images at a time, 1 or more.
        workers: processes that load images, 0 or more.
        description: of the progress bar.

    Raises:
        ValueError: a number out of range, or what the data set raises, in a worker too: one line without a traceback.
    """
    if batch_size < 1 or workers < 0:
        raise ValueError(f"batch_size must be at least 1 and workers at least 0, got {batch_size} and {workers}")
    loader: DataLoader[Any] = DataLoader(
        dataset, batch_size, num_workers=workers, collate_fn=collate, worker_init_fn=init_worker
    )
    try:
        yield from tqdm(loader, desc=description, unit="batch", total=len(loader))
    except ValueError as error:
        # One of a worker's comes as a traceback in text.
        if not str(error).startswith("Caught ValueError in DataLoader worker"):
            raise
        raise ValueError(str(error).rstrip().splitlines()[-1].removeprefix("ValueError: ")) from None
