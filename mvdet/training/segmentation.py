"""Training a segmentation network: its recipe, the data sets that a recipe names, and what Lightning trains."""

import dataclasses
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any, Literal

import torch
from torch import Tensor, nn

from mvdet.data.datasets.base import Target
from mvdet.data.datasets.masks import mask_records
from mvdet.data.datasets.segmentation import SegmentationDataset
from mvdet.data.formats.masks import CLASS_FILES
from mvdet.data.io.faults import BadData
from mvdet.data.shapes.dataset import SEMANTIC_CLASSES, generate
from mvdet.data.transforms.segmentation import eval_transform, train_transform
from mvdet.evaluation.metrics.segmentation import confusion_matrix, predicted_labels, segmentation_metrics
from mvdet.heads.deeplabv3 import PUBLISHED_AUX_LOSS, pixel_cross_entropy
from mvdet.models.deeplabv3 import DeepLabV3
from mvdet.models.inputs import as_input
from mvdet.models.registry import create_model
from mvdet.tasks import SEGMENTATION
from mvdet.training.checks import require_learnable
from mvdet.training.opening import Opened, Source, described, open_data, training_and_validation
from mvdet.training.recipe import AUTO, SHAPES_FOLDER, TrainingRecipe, setting
from mvdet.training.task import TrainingTask
from mvdet.wording import listed

_MASK_FOLDER = "SegmentationClass"


@dataclasses.dataclass(frozen=True)
class SegmentationRecipe(TrainingRecipe):
    """Every setting of a run; each is a key of a recipe's YAML and a flag of `scripts/train_deeplabv3.py`.

    Raises:
        ValueError: for a value out of range; names it.
    """

    # data
    data_format: Literal["auto", "shapes", "voc", "folder"] = setting(
        AUTO, "auto (found out from data_root), shapes (generated), voc or folder (images/SPLIT and masks/SPLIT)"
    )
    train_split: tuple[str, ...] | None = setting(
        None, "split or splits; for voc also YEAR:SPLIT, as VOC2012:train; none finds them in the folder"
    )
    val_split: tuple[str, ...] | None = setting(
        None, "split or splits that the metrics are measured on; none finds them, or holds val_share out"
    )
    class_names: tuple[str, ...] | None = setting(
        None, "by class number; none takes those of DATA_ROOT/classes.txt, or VOC's of VOC itself"
    )
    mask_folder: str = setting(_MASK_FOLDER, "of a voc data set; SegmentationClassAug for SBD's masks")
    mask_values: tuple[int, ...] | None = setting(
        None, "what the masks hold for each class, as 0 255 for black and white; none is class numbers"
    )
    size: tuple[int, int] = setting((512, 512), "height and width of the images")
    # network
    output_stride: int = setting(16, "of the backbone: 8, 16 or 32")
    aspp_channels: int | None = setting(None, "of the head; none takes the published ones, 256 in v1 and 512 in v2")
    atrous_rates: tuple[int, int, int] = setting((6, 12, 18), "dilations of the head's 3x3 convolutions")
    aux_loss: float | None = setting(
        None, "weight of the auxiliary head's loss, 0 for no such head; none is as published: 0.4 in v2, 0 in v1"
    )
    # augmentation
    scale: tuple[float, float] = setting((0.5, 2.0), "range of the random size, before the crop")
    photometric: bool = setting(True, "random brightness, contrast, saturation and hue")
    flip: float = setting(0.5, "probability of a horizontal flip")
    # optimisation
    head_learning_rate_factor: float = setting(1.0, "learning rate of the heads, relative to the backbone's")
    epochs: int = setting(50, "passes over the training images")

    def __post_init__(self) -> None:
        TrainingRecipe.__post_init__(self)
        self.check_share("flip")
        if self.head_learning_rate_factor <= 0:
            raise ValueError(f"head_learning_rate_factor must be above 0, got {self.head_learning_rate_factor}")
        if self.aux_loss is not None and self.aux_loss < 0:
            raise ValueError(f"aux_loss must be at least 0, got {self.aux_loss}")
        if not 0 < self.scale[0] <= self.scale[1]:
            raise ValueError(f"scale must be (low, high) above 0, got {self.scale}")
        self.check_data_root("voc", "folder")
        if self.data_format not in ("voc", AUTO) and self.mask_folder != _MASK_FOLDER:
            raise ValueError(f"mask_folder is a voc data set's, got {self.mask_folder} with {self.data_format}")


SOURCES: dict[str, Source] = {"shapes": lambda recipe: (generate(recipe.data_root or SHAPES_FOLDER) / "VOC", "voc")}
"""Data that makes itself: where it then lies, and in which format."""


def _read_masks(recipe: SegmentationRecipe, opened: Opened, options: dict[str, Any]) -> SegmentationDataset:
    names = recipe.class_names or opened.found.class_names
    if recipe.class_names is None and recipe.data_format == "shapes":
        names = SEMANTIC_CLASSES
    if names is None:
        raise ValueError(
            f"{opened.found.root}: nothing says what the class numbers of the masks mean; write {CLASS_FILES[0]}, a "
            "name a line from class 0 on, or give class_names (--class-names background ...)"
        )
    bad_data = BadData(listed(dict.fromkeys(str(place.images) for place in opened.places)), recipe.on_bad_data)
    options = {name: value for name, value in options.items() if name != "on_bad_data"}
    return SegmentationDataset(mask_records(opened.places, bad_data), names, bad_data, **options)


def _read_voc(recipe: SegmentationRecipe, opened: Opened, options: dict[str, Any]) -> SegmentationDataset:
    places = []
    for place in opened.places:
        assert place.annotations is not None
        masks = (
            place.annotations if recipe.mask_folder == _MASK_FOLDER else place.annotations.parent / recipe.mask_folder
        )
        if not masks.is_dir():
            raise FileNotFoundError(f"{masks} is not a folder; the masks were expected in it")
        places.append(dataclasses.replace(place, annotations=masks, suffix=".png"))
    return _read_masks(recipe, dataclasses.replace(opened, places=tuple(places)), options)


READERS: dict[str, Callable[[SegmentationRecipe, Opened, dict[str, Any]], SegmentationDataset]] = {
    "voc": _read_voc,
    "folder": _read_masks,
}
"""By data format: the data set of a recipe at its places."""


def segmentation_dataset(recipe: SegmentationRecipe, *, train: bool) -> SegmentationDataset:
    """The training or the validation images of a recipe.

    Args:
        recipe: says which, and how they are augmented.
        train: the training images, augmented.

    Raises:
        FileNotFoundError, ValueError: as the data sets.
    """
    augmented = partial(train_transform, scale=recipe.scale, photometric=recipe.photometric, flip=recipe.flip)
    options = recipe.dataset_options(augmented if train else eval_transform, train=train)
    options["mask_values"] = recipe.mask_values
    opened = open_data(recipe, SEGMENTATION, SOURCES, train=train)
    return opened.part_of(READERS[opened.found.data_format](recipe, opened, options))


class SegmentationTask(TrainingTask):
    """A segmentation network, cross-entropy over the pixels that count, and its mean IoU.

    Args:
        recipe: all settings.
        train: training images.
        val: validation images.
    """

    monitor = "mIoU"

    def __init__(self, recipe: SegmentationRecipe, train: SegmentationDataset, val: SegmentationDataset) -> None:
        name = SEGMENTATION.prefix + recipe.backbone
        options = {
            "output_stride": recipe.output_stride,
            "aspp_channels": recipe.aspp_channels,
            "atrous_rates": list(recipe.atrous_rates),
            "aux_head": None if recipe.aux_loss is None else recipe.aux_loss > 0,
        }
        model = create_model(
            name,
            num_classes=len(train.class_names),
            freeze=recipe.freeze,
            freeze_batch_norm=recipe.freeze_batch_norm,
            weights=recipe.weights,
            weights_backbone=recipe.weights_backbone,
            head=recipe.head,
            **options,
        )
        super().__init__(recipe, model, train, val, {"name": name, "options": options})
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
    """What Lightning trains by a recipe: the network with its data.

    Raises what these raise, and ValueError if nothing can be learnt from the data, see `require_learnable`.
    """
    train, val = training_and_validation(segmentation_dataset, recipe)
    require_learnable(train, val, described(recipe, SEGMENTATION))
    return SegmentationTask(recipe, train, val)
