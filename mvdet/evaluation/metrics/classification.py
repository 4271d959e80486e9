"""Top-1 and top-5 accuracy."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from torch import Tensor


def correct_at(logits: Tensor, labels: Tensor, *, most: int = 5) -> list[tuple[bool, bool]]:
    """For each image, whether its class has the highest logit, and whether it is among the `most` highest.

    Args:
        logits: [B, K]; NaN is never right.
        labels: [B] int64.
        most: ranks that count; all of them where there are fewer classes.
    """
    ranked = logits.topk(min(most, logits.shape[1]), dim=1).indices  # [B, most]
    hits = (ranked == labels[:, None]) & ~logits.isnan().any(dim=1, keepdim=True)
    return [(bool(row[0]), bool(row.any())) for row in hits.cpu()]


@dataclass(frozen=True, slots=True)
class ClassifiedImage:
    """What a classifier says of an image.

    Attributes:
        file: path of the image.
        label: its class number in the data set.
        classes: the data set's numbers of the most probable classes, best first: five, or all where there are fewer.
        scores: their probabilities.
    """

    file: str
    label: int
    classes: tuple[int, ...]
    scores: tuple[float, ...]


class ClassAccuracy(NamedTuple):
    """One class; `accuracy` is the share of its images whose best class is right, None without images."""

    accuracy: float | None
    images: int


@dataclass(frozen=True)
class ClassificationMetrics:
    """Accuracies in [0, 1].

    Attributes:
        top1: share of the images whose best class is right.
        top5: share of the images whose class is among the five best.
        per_class: by class name, in the order of class numbers.
        images: how many there are.
    """

    top1: float
    top5: float
    per_class: dict[str, ClassAccuracy]
    images: int

    def as_dict(self) -> dict[str, Any]:
        """Everything, as json can hold it; None stands for a number that does not exist."""
        return {
            "metrics": {"top1": self.top1, "top5": self.top5},
            "per_class": {name: found._asdict() for name, found in self.per_class.items()},
            "counts": {"images": self.images},
        }


def class_confusion(found: Sequence[ClassifiedImage], num_classes: int) -> NDArray[np.int64]:
    """Images by true and by best class, [K, K]: row t, column p counts those of class t that were taken for p."""
    counts = np.zeros((num_classes, num_classes), np.int64)
    for one in found:
        counts[one.label, one.classes[0]] += 1
    return counts


def classification_metrics(found: Sequence[ClassifiedImage], class_names: Sequence[str]) -> ClassificationMetrics:
    """Accuracy over all images, and over those of each class.

    Args:
        found: one for each image.
        class_names: by class number.

    Raises:
        ValueError: there is no image.
    """
    if not found:
        raise ValueError("there is no image to evaluate")
    counts = class_confusion(found, len(class_names))
    per_class = {}
    for number, (name, row) in enumerate(zip(class_names, counts.tolist(), strict=True)):
        images = sum(row)
        per_class[name] = ClassAccuracy(row[number] / images if images else None, images)
    top5 = sum(one.label in one.classes for one in found)
    return ClassificationMetrics(int(np.trace(counts)) / len(found), top5 / len(found), per_class, len(found))
