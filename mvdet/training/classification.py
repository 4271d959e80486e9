"""Training a classifier: its recipe, the data sets that a recipe names, and what Lightning trains."""

import dataclasses
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torchvision.transforms import v2

from mvdet.data.datasets.base import Target
from mvdet.data.datasets.classification import ClassificationDataset, stack_labels
from mvdet.data.shapes.dataset import generate_classification
from mvdet.data.transforms.classification import Interpolation, eval_transform, train_transform
from mvdet.evaluation.metrics.classification import correct_at
from mvdet.models.inputs import as_input
from mvdet.models.registry import create_model
from mvdet.tasks import CLASSIFICATION
from mvdet.training.checks import require_learnable
from mvdet.training.opening import Opened, Source, described, open_data, training_and_validation
from mvdet.training.recipe import AUTO, TrainingRecipe, setting
from mvdet.training.task import TrainingTask

SHAPES_FOLDER = Path("datasets/shapes-classification")
"""Where the generated data set is written, unless the recipe says otherwise."""


@dataclasses.dataclass(frozen=True)
class ClassificationRecipe(TrainingRecipe):
    """Every setting of a run; each is a key of a recipe's YAML and a flag of `scripts/train_classifier.py`.

    Raises:
        ValueError: for a value out of range; names it.
    """

    # data
    data_format: Literal["auto", "shapes", "folder"] = setting(
        AUTO, "auto (found out from data_root), shapes (generated) or folder (ROOT/SPLIT/CLASS/IMAGE, as ImageNet)"
    )
    train_split: str | None = setting(None, "folder of the training images; none finds it")
    val_split: str | None = setting(None, "folder of the validation images; none finds it, or holds val_share out")
    size: tuple[int, int] = setting((256, 256), "height and width of the images")
    interpolation: Interpolation = setting("bilinear", "of every resize: bilinear or bicubic")
    # network
    dropout: float | None = setting(None, "before the classifier; none takes the published one")
    # augmentation
    crop_scale: tuple[float, float] = setting((0.08, 1.0), "least and greatest share of a picture that is cut out")
    flip: float = setting(0.5, "probability of a horizontal flip")
    rand_augment: bool = setting(False, "RandAugment, two operations of magnitude 9")
    random_erasing: float = setting(0.0, "probability that a rectangle is blanked")
    mixup: float = setting(0.0, "alpha of mixup; 0 for none. With both, each batch takes one of the two")
    cutmix: float = setting(0.0, "alpha of cutmix; 0 for none")
    # optimisation
    label_smoothing: float = setting(0.1, "share of the target that goes to all classes")
    epochs: int = setting(300, "passes over the training images")
    batch_size: int = setting(1024, "images of `size` a step, over all devices together")
    learning_rate: float = setting(2e-3, "the highest one, after the warm-up")
    min_learning_rate: float = setting(2e-4, "the last one, at the end of the cosine")
    warmup_steps: int = setting(3000, "steps of the linear warm-up")
    warmup_learning_rate: float = setting(2e-4, "the first one")

    def __post_init__(self) -> None:
        TrainingRecipe.__post_init__(self)
        self.check_share("flip", "random_erasing", "label_smoothing", *(["dropout"] if self.dropout else []))
        for name in ("mixup", "cutmix"):
            if getattr(self, name) < 0:
                raise ValueError(f"{name} must be at least 0, got {getattr(self, name)}")
        low, high = self.crop_scale
        if not 0 < low <= high <= 1:
            raise ValueError(f"crop_scale must be (low, high) above 0 and up to 1, got {self.crop_scale}")
        self.check_data_root("folder")


SOURCES: dict[str, Source] = {
    "shapes": lambda recipe: (generate_classification(recipe.data_root or SHAPES_FOLDER), "folder")
}
"""Data that makes itself: where it then lies, and in which format."""


def _read_folder(recipe: ClassificationRecipe, opened: Opened, options: dict[str, Any]) -> ClassificationDataset:
    (place,) = opened.places
    return ClassificationDataset(place.images, **options)


READERS: dict[str, Callable[[ClassificationRecipe, Opened, dict[str, Any]], ClassificationDataset]] = {
    "folder": _read_folder
}
"""By data format: the data set of a recipe at its places."""


def classification_dataset(recipe: ClassificationRecipe, *, train: bool) -> ClassificationDataset:
    """The training or the validation images of a recipe.

    Args:
        recipe: says which, and how they are augmented.
        train: the training images, augmented.

    Raises:
        FileNotFoundError: a folder that is not there, or a class without images.
        FileExistsError, RuntimeError: as `generate_classification`.
    """
    augmented = partial(
        train_transform,
        interpolation=recipe.interpolation,
        crop_scale=recipe.crop_scale,
        flip=recipe.flip,
        rand_augment=recipe.rand_augment,
        random_erasing=recipe.random_erasing,
    )
    plain = partial(eval_transform, interpolation=recipe.interpolation)
    options = recipe.dataset_options(augmented if train else plain, train=train)
    opened = open_data(recipe, CLASSIFICATION, SOURCES, train=train)
    return opened.part_of(READERS[opened.found.data_format](recipe, opened, options))


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
        super().__init__(recipe, model, train, val, {"name": recipe.backbone, "interpolation": recipe.interpolation})
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
    """What Lightning trains by a recipe: the network with its data.

    Raises what these raise, and ValueError if nothing can be learnt from the data, see `require_learnable`.
    """
    train, val = training_and_validation(classification_dataset, recipe)
    require_learnable(train, val, described(recipe, CLASSIFICATION))
    return ClassificationTask(recipe, train, val)
