"""A detector at work on a data set: its detections as COCO results."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader
from tqdm import tqdm  # type: ignore[import-untyped]

from mvdet.data.detection import DetectionDataset, Sample, Target, collate, init_worker
from mvdet.evaluation.results import Result, to_results
from mvdet.models.detection_io import TrainedDetector, detect


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


def match_classes(class_names: Sequence[str], dataset: DetectionDataset) -> tuple[int, ...]:
    """The data set's category ids of a detector's classes, found by name.

    Args:
        class_names: of label 1, 2, ... of the detector.
        dataset: with the same names, in any order.

    Raises:
        ValueError: a class is missing on either side, or a name occurs twice; names both sets.
    """
    ids = dict(zip(dataset.class_names, dataset.category_ids, strict=True))
    both = f"the detector's are {', '.join(class_names)}; the data set's are {', '.join(dataset.class_names)}"
    if len(ids) < len(dataset.class_names) or len(set(class_names)) < len(class_names):
        raise ValueError(f"two classes have the same name: {both}")
    for side, missing in (("detector", set(ids) - set(class_names)), ("data set", set(class_names) - set(ids))):
        if missing:
            raise ValueError(f"classes that the {side} does not have: {', '.join(sorted(missing))}; {both}")
    return tuple(ids[name] for name in class_names)


def run_detector(
    detector: TrainedDetector,
    dataset: DetectionDataset,
    *,
    batch_size: int = 16,
    workers: int = 0,
    device: torch.device | str = "cpu",
) -> list[Result]:
    """Look for objects in every image of a data set, with a progress bar.

    Args:
        detector: of `mvdet.models.detection_io.find_detector`; its model is moved to the device.
        dataset: made with `train=False`, at the size that the detector is to see.
        batch_size: images at a time, 1 or more.
        workers: processes that load images, 0 or more.
        device: where the model runs.

    Returns:
        COCO results with the data set's image and category ids, boxes in pixels of the stored images.

    Raises:
        ValueError: a data set for training, other classes (see `match_classes`), an image that cannot be read, or a
            number out of range.
    """
    if dataset.train:
        raise ValueError(f"{dataset.bad_data.source}: detections are evaluated on a data set made with train=False")
    if batch_size < 1 or workers < 0:
        raise ValueError(f"batch_size must be at least 1 and workers at least 0, got {batch_size} and {workers}")
    category_ids = match_classes(detector.class_names, dataset)
    loader: DataLoader[Sample] = DataLoader(
        dataset, batch_size, num_workers=workers, collate_fn=collate, worker_init_fn=init_worker
    )
    model = detector.model.to(device)
    results: list[Result] = []
    for images, targets in tqdm(_batches(loader), desc="detect", unit="batch", total=len(loader)):
        sizes = [(int(height), int(width)) for height, width in (target["orig_size"].tolist() for target in targets)]
        found = detect_batch(model, images, sizes, device)
        for target, detections in zip(targets, found, strict=True):
            results += to_results(int(target["image_id"]), detections, category_ids)
    return results


def _batches(loader: DataLoader[Sample]) -> Iterator[tuple[Tensor | list[Tensor], list[Target]]]:
    """The loader's batches; an error in a worker, which comes as a traceback in text, says what its last line says."""
    try:
        yield from loader
    except ValueError as error:
        if not str(error).startswith("Caught ValueError in DataLoader worker"):
            raise
        raise ValueError(str(error).rstrip().splitlines()[-1].removeprefix("ValueError: ")) from None


def detect_batch(
    model: nn.Module, images: Tensor | list[Tensor], sizes: Sequence[tuple[int, int]], device: torch.device | str
) -> list[dict[str, Tensor]]:
    """`mvdet.models.detection_io.detect` on a device, without gradients."""
    with torch.inference_mode():
        moved = images.to(device) if isinstance(images, Tensor) else [image.to(device) for image in images]
        return detect(model, moved, sizes)
