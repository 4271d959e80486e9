"""Checkpoints of ultralytics on our data sets, so that YOLO and SSDLite are judged by the same judge."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import cv2
import torch
from tqdm import tqdm  # type: ignore[import-untyped]
from ultralytics import YOLO
from ultralytics.nn.tasks import torch_safe_load

from mvdet.data.detection import DetectionDataset
from mvdet.data.image_files import BadImageError, read_image
from mvdet.evaluation.detector import match_classes
from mvdet.evaluation.results import Result, to_results

SETTINGS: dict[str, Any] = {"conf": 0.001, "iou": 0.7, "max_det": 300}
"""Those that `yolo val` measures with."""
_TASKS = ("detect", "segment", "pose")  # those that give upright boxes


def load_yolo(checkpoint: str | Path) -> YOLO:
    """A network from a checkpoint that ultralytics saved, which is first read in its restricted mode.

    Raises:
        FileNotFoundError: no such file.
        ValueError: not a checkpoint that ultralytics loads with known classes alone, or not one that finds boxes.
    """
    path = Path(checkpoint)
    if not path.is_file():
        raise FileNotFoundError(f"checkpoint not found: {path}")
    try:
        torch_safe_load(path, safe_only=True)  # runs nothing that is in the file; what passes may be loaded as usual
        network = YOLO(path)
    except (TypeError, RuntimeError, ModuleNotFoundError) as error:
        raise ValueError(f"{path}: {' '.join(str(error).split())}") from None
    if network.task not in _TASKS:
        raise ValueError(f"{path}: the task must be one of {', '.join(_TASKS)}, it is {network.task}")
    return network


def run_yolo(
    checkpoint: str | Path,
    dataset: DetectionDataset,
    *,
    size: tuple[int, int] | None = None,
    device: torch.device | str = "cpu",
) -> list[Result]:
    """Look for objects in every image of a data set as `yolo predict` does, with a progress bar.

    Images go through ultralytics' own preparation, one at a time, so that the padding of one does not depend on the
    others. They are read as they are stored, as annotations count, and not turned by their EXIF orientation.

    Args:
        checkpoint: `best.pt` of a training run, a stock model, or one with a MobileViT backbone.
        dataset: whose class names are the checkpoint's, in any order; only its images are used, no transform.
        size: height and width in pixels, multiples of the largest stride; None takes the checkpoint's own.
        device: where the network runs.

    Returns:
        COCO results with the data set's image and category ids, boxes in pixels of the stored images.

    Raises:
        FileNotFoundError, ValueError: as `load_yolo` and `mvdet.evaluation.detector.match_classes`; a size that the
            network does not take, or an image that cannot be read.
    """
    network = load_yolo(checkpoint)
    labels = sorted(network.names)
    category_ids = match_classes([network.names[label] for label in labels], dataset)
    options = SETTINGS | {"device": str(device), "verbose": False}
    if size is not None:
        stride = int(network.model.stride.max())
        if any(side % stride for side in size):
            raise ValueError(f"size must be multiples of {stride} for {checkpoint}, got {size[0]} {size[1]}")
        options["imgsz"] = list(size)
    results: list[Result] = []
    for record in tqdm(dataset.records, desc="detect", unit="image"):
        try:
            image = read_image(record.file)
        except BadImageError as error:
            raise ValueError(f"image {record.image_id}: {error.fault}: {error}") from error
        (found,) = network.predict(cv2.cvtColor(image, cv2.COLOR_RGB2BGR), **options)
        boxes = found.boxes
        detections = {"boxes": boxes.xyxy, "scores": boxes.conf, "labels": boxes.cls.long() + 1}
        results += to_results(record.image_id, detections, category_ids)
    return results
