"""A classifier at work: on a batch, and on a whole data set."""

from collections.abc import Sequence
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from mvdet.data.datasets.classification import ClassificationDataset, stack_labels
from mvdet.data.transforms.classification import eval_transform
from mvdet.evaluation.metrics.classification import ClassifiedImage
from mvdet.evaluation.run.batches import evaluation_batches
from mvdet.evaluation.run.class_matching import match_numbers
from mvdet.models.inputs import as_input
from mvdet.models.trained import TrainedClassifier

MOST_CLASSES = 5
"""The number of classes that are kept of each image."""


def classifier_transform(classifier: TrainedClassifier, size: tuple[int, int] | None = None) -> partial[Any]:
    """Builds a classifier's resize and crop for `(height, width)`; `size` is that of the crop, None the trained one."""
    resize = classifier.resize_for(size or classifier.size)
    return partial(eval_transform, interpolation=classifier.interpolation, resize=resize)


def classify_batch(
    model: nn.Module, images: Tensor, device: torch.device | str
) -> tuple[list[list[int]], list[list[float]]]:
    """The most probable classes and their probabilities, best first.

    Args:
        model: a classifier in evaluation mode, on the device.
        images: [B, 3, H, W] uint8.
        device: where the model is.

    Returns:
        The class numbers and the probabilities of each image: five, or all where there are fewer classes.

    Raises:
        ValueError: a logit is NaN.
    """
    with torch.inference_mode():
        logits = model(as_input(images.to(device))).float()  # [B, K]
        if logits.isnan().any():
            raise ValueError("the classifier's outputs are NaN")
        best = logits.topk(min(MOST_CLASSES, logits.shape[1]), dim=1).indices  # [B, 5]
        return best.tolist(), logits.softmax(dim=1).gather(1, best).tolist()


def scored_classes(
    classes: Sequence[int], scores: Sequence[float], class_names: Sequence[str]
) -> list[dict[str, str | int | float]]:
    """The classes of an image as json has them: number, name and score of each, best first."""
    return [
        {"label": label, "class_name": class_names[label], "score": round(score, 4)}
        for label, score in zip(classes, scores, strict=True)
    ]


def run_classifier(
    classifier: TrainedClassifier,
    dataset: ClassificationDataset,
    *,
    size: tuple[int, int] | None = None,
    batch_size: int = 16,
    workers: int = 0,
    device: torch.device | str = "cpu",
) -> list[ClassifiedImage]:
    """Classify every image of a data set, with a progress bar.

    Args:
        classifier: of `mvdet.models.trained.find_model`; its model is moved to the device.
        dataset: its images are seen with the classifier's own resize, crop and interpolation, not its transform.
        size: height and width of the crop; None takes the classifier's.
        batch_size: images at a time, 1 or more.
        workers: processes that load images, 0 or more.
        device: where the model runs.

    Returns:
        One for each image, with the data set's class numbers.

    Raises:
        ValueError: other classes (see `match_numbers`), an image that cannot be read, a number out of range, or a
            classifier that gives NaN.
    """
    numbers = match_numbers(classifier, dataset.class_names)
    size = size or classifier.size
    dataset = dataset.with_transform(classifier_transform(classifier, size), size)
    model = classifier.model.to(device)
    found: list[ClassifiedImage] = []
    for images, targets in evaluation_batches(dataset, batch_size=batch_size, workers=workers, description="classify"):
        assert isinstance(images, Tensor)
        labels = stack_labels(targets).tolist()
        for target, label, classes, scores in zip(targets, labels, *classify_batch(model, images, device), strict=True):
            file = dataset.records[int(target["image_id"])].file
            found.append(ClassifiedImage(file, label, tuple(numbers[i] for i in classes), tuple(scores)))
    return found
