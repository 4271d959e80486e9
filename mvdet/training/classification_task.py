"""Training a classifier, for Lightning."""

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torchvision.transforms import v2

from mvdet.data.classification import ClassificationDataset, Target, stack_labels
from mvdet.evaluation.classification import correct_at
from mvdet.models.pixels import as_input
from mvdet.models.registry import create_model
from mvdet.training.classification_data import classification_dataset
from mvdet.training.classification_recipe import ClassificationRecipe
from mvdet.training.task import TrainingTask


class ClassificationTask(TrainingTask):
    """A classifier, cross-entropy on smoothed and mixed labels, and its accuracy.

    Args:
        recipe: all settings.
        train: training images.
        val: validation images.
    """

    monitor = "top1"

    def __init__(self, recipe: ClassificationRecipe, train: ClassificationDataset, val: ClassificationDataset) -> None:
        num_classes = len(train.class_names)
        model = create_model(
            recipe.backbone,
            num_classes=num_classes,
            dropout=recipe.dropout,
            freeze=recipe.freeze,
            freeze_batch_norm=recipe.freeze_batch_norm,
            weights=recipe.weights,
            weights_backbone=recipe.weights_backbone,
            head=recipe.head,
        )
        super().__init__(recipe, model, train, val, describe_run(recipe, train))
        mixes = [(v2.MixUp, recipe.mixup), (v2.CutMix, recipe.cutmix)]
        chosen = [kind(alpha=alpha, num_classes=num_classes) for kind, alpha in mixes if alpha > 0]
        self._mix: nn.Module | None = v2.RandomChoice(chosen) if chosen and num_classes > 1 else None
        self._smoothing = recipe.label_smoothing
        self._correct: list[tuple[int, tuple[bool, bool]]] = []

    def training_step(self, batch: tuple[Any, list[Target]], batch_idx: int) -> Tensor:
        """Cross-entropy; raises as `checked_loss`."""
        pixels, targets = batch
        images, labels = as_input(pixels), stack_labels(targets)
        if self._mix is not None:
            images, labels = self._mix(images, labels)
        loss = F.cross_entropy(self.model(images).float(), labels, label_smoothing=self._smoothing)
        return self.checked_loss({"cross_entropy": loss}, [int(target["image_id"]) for target in targets])

    def on_validation_epoch_start(self) -> None:
        """Forget what was found before."""
        self._correct = []

    def validation_step(self, batch: tuple[Any, list[Target]], batch_idx: int) -> None:
        """Which images of a batch are right."""
        pixels, targets = batch
        right = correct_at(self.model(as_input(pixels)), stack_labels(targets))
        self._correct += [(int(t["image_id"]), found) for t, found in zip(targets, right, strict=True)]

    def on_validation_epoch_end(self) -> None:
        """Accuracy over what all processes found, each image counted once."""
        once = {image: found for part in self.gathered(self._correct) for image, found in part}
        right = torch.tensor(list(once.values()), dtype=torch.float64).mean(dim=0)
        self.log_metrics({"top1": float(right[0]), "top5": float(right[1])})


def classification_task(recipe: ClassificationRecipe) -> ClassificationTask:
    """The task of a recipe, with its data; raises as these."""
    return ClassificationTask(
        recipe, classification_dataset(recipe, train=True), classification_dataset(recipe, train=False)
    )


def describe_run(recipe: ClassificationRecipe, dataset: ClassificationDataset) -> dict[str, Any]:
    """What a checkpoint says of itself, in plain types that `weights_only=True` reads."""
    return {
        "recipe": recipe.as_dict(),
        "model": {"name": recipe.backbone, "size": list(recipe.size), "interpolation": recipe.interpolation},
        "class_names": list(dataset.class_names),
    }
