"""The batches of an evaluation: every image once, in order, with a progress bar."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from torch import Tensor
from torch.utils.data import DataLoader, Dataset
from tqdm import tqdm  # type: ignore[import-untyped]

from mvdet.data.datasets.detection import collate, init_worker
from mvdet.models.trained import TASK_NOUNS, TrainedClassifier, TrainedSegmenter, task_of

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


_MOST_NAMES = 30  # in a message


def match_names(model_names: Sequence[str], data_names: Sequence[str], *, model: str) -> tuple[int, ...]:
    """Where the data set has each of the model's classes, found by name.

    Args:
        model_names: of the model's outputs, in their order.
        data_names: the same names, in any order.
        model: what the message calls the model.

    Raises:
        ValueError: a class is missing on either side, or a name occurs twice; names both sets.
    """
    both = f"the {model}'s are {_listed(model_names)}; the data set's are {_listed(data_names)}"
    if len(set(data_names)) < len(data_names) or len(set(model_names)) < len(model_names):
        raise ValueError(f"two classes have the same name: {both}")
    mine, theirs = set(model_names), set(data_names)
    for side, missing in ((model, theirs - mine), ("data set", mine - theirs)):
        if missing:
            raise ValueError(f"classes that the {side} does not have: {_listed(sorted(missing))}; {both}")
    places = {name: place for place, name in enumerate(data_names)}
    return tuple(places[name] for name in model_names)


def match_numbers(trained: TrainedClassifier | TrainedSegmenter, data_names: Sequence[str]) -> tuple[int, ...]:
    """The data set's class number of each of a model's: by name, or by order where the model does not know its names.

    Raises:
        ValueError: another number of classes, or, where the model knows its names, others; names both.
    """
    noun = TASK_NOUNS[task_of(trained)]
    if len(trained.class_names) != len(data_names):
        counts = f"the {noun} has {len(trained.class_names)} classes, the data set {len(data_names)}"
        raise ValueError(f"{counts}: {_listed(trained.class_names)}; {_listed(data_names)}")
    if not trained.has_names:
        return tuple(range(len(data_names)))
    return match_names(trained.class_names, data_names, model=noun)


def _listed(names: Sequence[str]) -> str:
    more = len(names) - _MOST_NAMES
    return ", ".join(names[:_MOST_NAMES]) + (f" and {more} more" if more > 0 else "")
