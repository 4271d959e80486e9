"""Training a segmentation network, for Lightning."""

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor, nn

from mvdet.data.segmentation import SegmentationDataset
from mvdet.evaluation.segmentation import confusion_matrix, predicted_labels, segmentation_metrics
from mvdet.models.deeplabv3 import DeepLabV3
from mvdet.models.pixels import as_input
from mvdet.models.registry import create_model
from mvdet.training.segmentation_data import segmentation_dataset
from mvdet.training.segmentation_loss import PUBLISHED_AUX_LOSS, pixel_cross_entropy
from mvdet.training.segmentation_recipe import SegmentationRecipe
from mvdet.training.task import TrainingTask

Target = dict[str, Tensor]


class SegmentationTask(TrainingTask):
    """A segmentation network, cross-entropy over the pixels that count, and its mean IoU.

    Args:
        recipe: all settings.
        train: training images.
        val: validation images.
    """

    monitor = "mIoU"

    def __init__(self, recipe: SegmentationRecipe, train: SegmentationDataset, val: SegmentationDataset) -> None:
        description = describe_run(recipe, train)
        model = create_model(
            description["model"]["name"],
            num_classes=len(train.class_names),
            freeze=recipe.freeze,
            freeze_batch_norm=recipe.freeze_batch_norm,
            weights=recipe.weights,
            weights_backbone=recipe.weights_backbone,
            head=recipe.head,
            **description["model"]["options"],
        )
        super().__init__(recipe, model, train, val, description)
        self.recipe: SegmentationRecipe = recipe
        self._class_names = val.class_names
        self._aux_loss = PUBLISHED_AUX_LOSS if recipe.aux_loss is None else recipe.aux_loss
        self._counts = torch.zeros(0)

    def training_step(self, batch: tuple[Any, list[Target]], batch_idx: int) -> Tensor:
        """Cross-entropy of the main and of the auxiliary head; raises as `checked_loss`."""
        pixels, targets = batch
        masks = torch.stack([target["mask"] for target in targets])  # [B, H, W]
        logits = self.model(as_input(pixels))
        losses = {"cross_entropy": pixel_cross_entropy(logits["out"], masks)}
        if "aux" in logits:
            losses["aux"] = self._aux_loss * pixel_cross_entropy(logits["aux"], masks)
        return self.checked_loss(losses, [int(target["image_id"]) for target in targets])

    def on_validation_epoch_start(self) -> None:
        """Forget what was counted before."""
        classes = len(self._class_names)
        self._counts = torch.zeros(classes, classes, dtype=torch.int64)

    def validation_step(self, batch: tuple[Any, list[Target]], batch_idx: int) -> None:
        """Count pixels, at the size of the stored images."""
        pixels, targets = batch
        logits = self.model(as_input(pixels), upsample=False)["out"]
        for one, target in zip(logits, targets, strict=True):
            mask = target["mask"]
            found = predicted_labels(one[None], (mask.shape[0], mask.shape[1]))[0]
            self._counts += confusion_matrix(found, mask.to(found.device), len(self._class_names)).cpu()

    def on_validation_epoch_end(self) -> None:
        """The metrics of all pixels that all processes counted."""
        counts = torch.stack(self.gathered(self._counts)).sum(dim=0)
        self.log_metrics(segmentation_metrics(counts, self._class_names).numbers)

    def learning_rate_factors(self) -> Iterator[tuple[nn.Module, float]]:
        """The heads'."""
        assert isinstance(self.model, DeepLabV3)
        for part in (self.model.head, self.model.aux_head):
            if part is not None:
                yield part, self.recipe.head_learning_rate_factor


def segmentation_task(recipe: SegmentationRecipe) -> SegmentationTask:
    """The task of a recipe, with its data; raises as these."""
    return SegmentationTask(recipe, segmentation_dataset(recipe, train=True), segmentation_dataset(recipe, train=False))


def describe_run(recipe: SegmentationRecipe, dataset: SegmentationDataset) -> dict[str, Any]:
    """What a checkpoint says of itself, in plain types that `weights_only=True` reads."""
    options = {
        "output_stride": recipe.output_stride,
        "aspp_channels": recipe.aspp_channels,
        "atrous_rates": list(recipe.atrous_rates),
        "aux_head": None if recipe.aux_loss is None else recipe.aux_loss > 0,
    }
    return {
        "recipe": recipe.as_dict(),
        "model": {"name": f"deeplabv3_{recipe.backbone}", "options": options, "size": list(recipe.size)},
        "class_names": list(dataset.class_names),
    }
