"""The batches of an evaluation: every image once, in order, with a progress bar."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from torch import Tensor
from torch.utils.data import DataLoader, Dataset
from tqdm import tqdm  # type: ignore[import-untyped]

from mvdet.data.detection import collate, init_worker

Batch = tuple[Tensor | list[Tensor], list[dict[str, Tensor]]]


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
