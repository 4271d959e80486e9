"""Mean intersection over union and pixel accuracy, from a matrix of counts that is summed over images and processes."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F

from mvdet.data.io.masks import IGNORE_INDEX


class ClassIoU(NamedTuple):
    """One class; `iou` in [0, 1], None where it is neither in the masks nor predicted; `pixels` of it in the masks."""

    iou: float | None
    pixels: int


@dataclass(frozen=True)
class SegmentationMetrics:
    """What a matrix of counts says, in [0, 1].

    Attributes:
        mean_iou: mean over the classes that have an IoU; None if none has.
        pixel_accuracy: share of the pixels that are predicted right; None if no pixel counts.
        per_class: by class name, in the order of class numbers.
        pixels: how many counted.
    """

    mean_iou: float | None
    pixel_accuracy: float | None
    per_class: dict[str, ClassIoU]
    pixels: int

    @property
    def numbers(self) -> dict[str, float | None]:
        """The two means by name."""
        return {"mIoU": self.mean_iou, "pixel_accuracy": self.pixel_accuracy}

    def as_dict(self) -> dict[str, Any]:
        """Everything, as json can hold it; None stands for a number that does not exist."""
        return {
            "metrics": self.numbers,
            "per_class": {name: found._asdict() for name, found in self.per_class.items()},
            "counts": {"pixels": self.pixels},
        }


def predicted_labels(logits: Tensor, size: tuple[int, int]) -> Tensor:
    """The class of every pixel of an image of `size`, from a network's raw logits.

    They are stretched once, to the size that is evaluated, as ml-cvnets does: `model(images, upsample=False)["out"]`.

    Args:
        logits: [B, K, H, W].
        size: (height, width).

    Returns:
        [B, height, width] int64.
    """
    stretched = F.interpolate(logits.float(), size=size, mode="bilinear", align_corners=True)
    return stretched.argmax(dim=1)


def confusion_matrix(predictions: Tensor, masks: Tensor, num_classes: int) -> Tensor:
    """Pixels by true and by predicted class; matrices of several images, or processes, add up.

    Args:
        predictions: class numbers of any shape, int64.
        masks: the true ones, of the same shape; pixels of 255 do not count.
        num_classes: K.

    Returns:
        [K, K] int64, on the arguments' device: row t, column p counts the pixels of class t that were taken for p.

    Raises:
        ValueError: shapes that differ, or a class number out of range; names it.
    """
    if predictions.shape != masks.shape:
        raise ValueError(f"predictions are {list(predictions.shape)}, masks {list(masks.shape)}")
    counted = masks != IGNORE_INDEX
    truth, found = masks[counted], predictions[counted]
    for name, values in (("masks", truth), ("predictions", found)):
        if ((values < 0) | (values >= num_classes)).any():
            allowed = f"0 to {num_classes - 1}" + (f" and {IGNORE_INDEX}" if name == "masks" else "")
            raise ValueError(f"{name} must be {allowed}, got {int(values.min())} to {int(values.max())}")
    counts = torch.bincount(truth * num_classes + found, minlength=num_classes**2)
    return counts.view(num_classes, num_classes)


def segmentation_metrics(confusion: Tensor, class_names: Sequence[str]) -> SegmentationMetrics:
    """The metrics of all pixels that were counted together, not means of images' metrics.

    A class that is in no mask but was predicted somewhere has an IoU of 0; one that is in neither has none and takes no
    part in the mean.

    Args:
        confusion: [K, K], of `confusion_matrix`.
        class_names: by class number.

    Raises:
        ValueError: if there is another number of names than of classes.
    """
    if confusion.shape != (len(class_names), len(class_names)):
        raise ValueError(f"confusion is {list(confusion.shape)}, there are {len(class_names)} class names")
    counts = confusion.cpu()
    truth, found, right = (part.tolist() for part in (counts.sum(dim=1), counts.sum(dim=0), counts.diagonal()))
    per_class = {}
    for name, is_there, was_found, hit in zip(class_names, truth, found, right, strict=True):
        union = is_there + was_found - hit
        per_class[name] = ClassIoU(hit / union if union else None, is_there)
    ious = [one.iou for one in per_class.values() if one.iou is not None]
    pixels = sum(truth)
    return SegmentationMetrics(
        mean_iou=sum(ious) / len(ious) if ious else None,
        pixel_accuracy=sum(right) / pixels if pixels else None,
        per_class=per_class,
        pixels=pixels,
    )
