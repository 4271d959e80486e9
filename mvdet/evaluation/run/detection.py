"""A detector at work: on a batch, and on a whole data set, as COCO results."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from mvdet.data.datasets.detection import DetectionDataset
from mvdet.evaluation.results import Result, to_results
from mvdet.evaluation.run.batches import evaluation_batches, to_device
from mvdet.evaluation.run.class_matching import match_names
from mvdet.models.inputs import detect
from mvdet.models.trained import TrainedDetector


def match_classes(class_names: Sequence[str], dataset: DetectionDataset) -> tuple[int, ...]:
    """The data set's category ids of a detector's classes, found by name.

    Args:
        class_names: of label 1, 2, ... of the detector.
        dataset: with the same names, in any order.

    Raises:
        ValueError: a class is missing on either side, or a name occurs twice; names both sets.
    """
    places = match_names(class_names, dataset.class_names, model="detector")
    return tuple(dataset.category_ids[place] for place in places)


def detect_batch(
    model: nn.Module, images: Tensor | list[Tensor], sizes: Sequence[tuple[int, int]], device: torch.device | str
) -> list[dict[str, Tensor]]:
    """Detections in the pixels of the stored images, without gradients; see `mvdet.models.inputs.detect`.

    Args:
        model: a detector in evaluation mode, on the device.
        images: uint8, [B, 3, H, W] or a list of [3, H, W].
        sizes: height and width of each image as it is stored.
        device: where the model is.

    Returns:
        `boxes` (xyxy, pixels), `labels` and `scores` of each image, on the device.
    """
    with torch.inference_mode():
        return detect(model, to_device(images, device), sizes)


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
        detector: of `mvdet.models.trained.find_model`; its model is moved to the device.
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
    category_ids = match_classes(detector.class_names, dataset)
    model = detector.model.to(device)
    results: list[Result] = []
    for images, targets in evaluation_batches(dataset, batch_size=batch_size, workers=workers, description="detect"):
        sizes = [(int(height), int(width)) for height, width in (target["orig_size"].tolist() for target in targets)]
        found = detect_batch(model, images, sizes, device)
        for target, detections in zip(targets, found, strict=True):
            results += to_results(int(target["image_id"]), detections, category_ids)
    return results
