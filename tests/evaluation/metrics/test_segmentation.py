"""mIoU and pixel accuracy against a brute-force count."""

import json
from fractions import Fraction

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from mvdet.evaluation.metrics.segmentation import confusion_matrix, predicted_labels, segmentation_metrics

NAMES = ("background", "cat", "dog", "owl", "never")


def random_masks(seed: int, size: tuple[int, ...] = (2, 17, 23), ignored: float = 0.2) -> tuple[Tensor, Tensor]:
    """Predictions and masks; "never" is in neither, 255 in the masks."""
    generator = torch.Generator().manual_seed(seed)
    predictions, masks = (torch.randint(0, 4, size, generator=generator) for _ in range(2))
    masks[torch.rand(size, generator=generator) < ignored] = 255
    return predictions, masks


def brute_force(predictions: Tensor, masks: Tensor) -> tuple[list[Fraction | None], Fraction]:
    """Every class's IoU and the pixel accuracy, pixel by pixel, in whole numbers."""
    pixels = [(t, p) for t, p in zip(masks.flatten().tolist(), predictions.flatten().tolist(), strict=True) if t != 255]
    ious: list[Fraction | None] = []
    for number in range(len(NAMES)):
        both = sum(t == number and p == number for t, p in pixels)
        either = sum(number in (t, p) for t, p in pixels)
        ious.append(Fraction(both, either) if either else None)
    return ious, Fraction(sum(t == p for t, p in pixels), len(pixels))


@pytest.mark.parametrize("seed", range(5))
def test_brute_force(seed: int) -> None:
    predictions, masks = random_masks(seed)
    found = segmentation_metrics(confusion_matrix(predictions, masks, len(NAMES)), NAMES)
    ious, accuracy = brute_force(predictions, masks)
    assert [one.iou for one in found.per_class.values()] == [None if iou is None else float(iou) for iou in ious]
    there = [iou for iou in ious if iou is not None]
    assert len(there) == 4
    assert found.mean_iou == pytest.approx(float(sum(there) / len(there)), abs=1e-15)
    assert found.pixel_accuracy == float(accuracy)
    assert found.pixels == int((masks != 255).sum())
    assert {name: one.pixels for name, one in found.per_class.items()} == {
        name: int((masks == number).sum()) for number, name in enumerate(NAMES)
    }


def test_what_is_ignored_never_counts() -> None:
    predictions, masks = random_masks(0)
    before = confusion_matrix(predictions, masks, len(NAMES))
    predictions[masks == 255] = 4
    assert torch.equal(confusion_matrix(predictions, masks, len(NAMES)), before)
    predictions[masks == 255] = 255  # not even a number that is none
    assert torch.equal(confusion_matrix(predictions, masks, len(NAMES)), before)


def test_matrices_of_images_add_up() -> None:
    predictions, masks = random_masks(3)
    parts = [confusion_matrix(p, m, len(NAMES)) for p, m in zip(predictions, masks, strict=True)]
    whole = confusion_matrix(predictions, masks, len(NAMES))
    assert torch.equal(sum(parts), whole)
    assert whole.dtype == torch.int64
    assert whole[1, 2] == ((masks == 1) & (predictions == 2)).sum()


def test_a_class_that_is_only_predicted_has_an_iou_of_zero() -> None:
    masks = torch.zeros(4, 4, dtype=torch.int64)
    predictions = masks.clone()
    predictions[0, 0] = 2
    found = segmentation_metrics(confusion_matrix(predictions, masks, 3), NAMES[:3])
    assert found.per_class == {"background": (15 / 16, 16), "cat": (None, 0), "dog": (0.0, 0)}
    assert found.mean_iou == 15 / 32


def test_nothing_counts() -> None:
    masks = torch.full((3, 3), 255)
    found = segmentation_metrics(confusion_matrix(torch.zeros_like(masks), masks, 2), NAMES[:2])
    assert (found.mean_iou, found.pixel_accuracy, found.pixels) == (None, None, 0)
    assert json.loads(json.dumps(found.as_dict())) == {
        "metrics": {"mIoU": None, "pixel_accuracy": None},
        "per_class": {"background": {"iou": None, "pixels": 0}, "cat": {"iou": None, "pixels": 0}},
        "counts": {"pixels": 0},
    }


def test_labels_at_the_size_of_the_stored_image() -> None:
    logits = torch.randn(2, 3, 5, 7, dtype=torch.bfloat16)
    labels = predicted_labels(logits, (33, 50))
    assert (labels.shape, labels.dtype) == ((2, 33, 50), torch.int64)
    wanted = F.interpolate(logits.float(), (33, 50), mode="bilinear", align_corners=True).argmax(1)
    assert torch.equal(labels, wanted)
    assert torch.equal(predicted_labels(logits, (5, 7)), logits.argmax(1))


@pytest.mark.parametrize(
    ("predictions", "masks", "message"),
    [
        ([[0, 1]], [[0], [1]], r"predictions are \[1, 2\], masks \[2, 1\]"),
        ([0, 2], [0, 1], "predictions must be 0 to 1, got 0 to 2"),
        ([0, -1], [0, 1], "predictions must be 0 to 1, got -1 to 0"),
        ([0, 1], [2, 255], "masks must be 0 to 1 and 255, got 2 to 2"),
    ],
)
def test_bad_arguments(predictions: list, masks: list, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        confusion_matrix(torch.tensor(predictions), torch.tensor(masks), 2)


def test_names_for_another_number_of_classes() -> None:
    with pytest.raises(ValueError, match=r"confusion is \[3, 3\], there are 2 class names"):
        segmentation_metrics(torch.zeros(3, 3), NAMES[:2])
