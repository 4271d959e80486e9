"""Training a detector: its recipe, the data sets that a recipe names, and what Lightning trains."""

import dataclasses
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any, Literal

from torch import Tensor

from mvdet.data.datasets.base import Target
from mvdet.data.datasets.bccd import find_voc_folder
from mvdet.data.datasets.coco import CocoDetection, coco_split
from mvdet.data.datasets.detection import DetectionDataset
from mvdet.data.datasets.voc import VocDetection
from mvdet.data.io.voc import split_or_image_sets
from mvdet.data.shapes.dataset import generate
from mvdet.data.transforms.detection import eval_transform, train_transform
from mvdet.evaluation.metrics.coco import evaluate_coco
from mvdet.evaluation.results import Result, merge_ranks, to_results
from mvdet.models.inputs import call_detector, detect
from mvdet.models.registry import build_detector
from mvdet.tasks import DETECTION
from mvdet.training.checks import require_learnable
from mvdet.training.recipe import SHAPES_FOLDER, TrainingRecipe, one_split, setting
from mvdet.training.task import TrainingTask

BCCD_FOLDER = Path("datasets/BCCD_Dataset")
"""Where BCCD is downloaded to."""

_MODEL_OPTIONS = ("size", "output_stride", "expand_output", "freeze", "freeze_batch_norm")
_WEIGHTS = ("weights", "weights_backbone", "head")


@dataclasses.dataclass(frozen=True)
class SSDLiteRecipe(TrainingRecipe):
    """Every setting of a run; each is a key of a recipe's YAML and a flag of `scripts/train_ssdlite.py`.

    Raises:
        ValueError: for a value out of range; names it.
    """

    # data
    data_format: Literal["shapes", "bccd", "coco", "voc"] = setting(
        "shapes", "shapes (generated), bccd (downloaded), coco or voc"
    )
    train_split: tuple[str, ...] = setting(("train",), "split or splits; for voc also YEAR:SPLIT, as VOC2007:trainval")
    val_split: tuple[str, ...] = setting(("val",), "split or splits that the metrics are measured on")
    class_names: tuple[str, ...] | None = setting(None, "classes of a voc data set; none finds them in the files")
    # network
    model: str | None = setting(None, "a whole network: torchvision/NAME for one of torchvision's detectors")
    output_stride: int = setting(32, "of the backbone: 8, 16 or 32")
    expand_output: bool = setting(False, "let the head read v1's final 1x1 expansion")
    # augmentation
    sample_crop: bool = setting(True, "SSD's random crop")
    photometric: bool = setting(True, "random brightness, contrast, saturation and hue")
    flip: float = setting(0.5, "probability of a horizontal flip")
    zoom_out: bool = setting(False, "SSD's random expansion")

    def __post_init__(self) -> None:
        TrainingRecipe.__post_init__(self)
        self.check_share("flip")
        if self.model is not None and (self.weights or self.weights_backbone):
            raise ValueError(f"{self.model} is trained from scratch here, it takes no weights")
        self.check_data_root("coco", "voc")


def _read_coco(
    recipe: SSDLiteRecipe, splits: Sequence[str], options: dict[str, Any], root: Path | None = None
) -> DetectionDataset:
    return CocoDetection(*coco_split(root or recipe.existing_data_root, one_split(splits, "coco")), **options)


def _read_voc(
    recipe: SSDLiteRecipe, splits: Sequence[str], options: dict[str, Any], root: Path | None = None
) -> DetectionDataset:
    where = split_or_image_sets(splits)
    return VocDetection(root or recipe.existing_data_root, **where, class_names=recipe.class_names, **options)


def _read_shapes(recipe: SSDLiteRecipe, splits: Sequence[str], options: dict[str, Any]) -> DetectionDataset:
    return _read_coco(recipe, splits, options, generate(recipe.data_root or SHAPES_FOLDER))


def _read_bccd(recipe: SSDLiteRecipe, splits: Sequence[str], options: dict[str, Any]) -> DetectionDataset:
    return _read_voc(recipe, splits, options, find_voc_folder(BCCD_FOLDER, recipe.data_root))


READERS: dict[str, Callable[[SSDLiteRecipe, Sequence[str], dict[str, Any]], DetectionDataset]] = {
    "shapes": _read_shapes,
    "bccd": _read_bccd,
    "coco": _read_coco,
    "voc": _read_voc,
}
"""By data format: the data set of a recipe and its splits; what makes or fetches itself is made or fetched."""


def detection_dataset(recipe: SSDLiteRecipe, *, train: bool) -> DetectionDataset:
    """The training or the validation images of a recipe.

    Args:
        recipe: says which, and how they are augmented.
        train: the training images, augmented.

    Raises:
        FileNotFoundError, ValueError: as the data sets.
        ConnectionError: BCCD must be downloaded and cannot be.
    """
    augmented = partial(
        train_transform,
        sample_crop=recipe.sample_crop,
        photometric=recipe.photometric,
        flip=recipe.flip,
        zoom_out=recipe.zoom_out,
    )
    options = recipe.dataset_options(augmented if train else eval_transform, train=train)
    return READERS[recipe.data_format](recipe, recipe.train_split if train else recipe.val_split, options)


class DetectionTask(TrainingTask):
    """A detector, its losses and its evaluation by COCO's metrics.

    Args:
        recipe: all settings.
        train: training images.
        val: validation images.
    """

    monitor = "AP"

    def __init__(self, recipe: SSDLiteRecipe, train: DetectionDataset, val: DetectionDataset) -> None:
        name = recipe.model or DETECTION.prefix + recipe.backbone
        options = {} if recipe.model else {option: getattr(recipe, option) for option in _MODEL_OPTIONS}
        weights = {} if recipe.model else {option: getattr(recipe, option) for option in _WEIGHTS}
        model = build_detector(name, len(train.class_names) + 1, options | weights)
        super().__init__(recipe, model, train, val, {"name": name, "options": options})
        self.hparams["category_ids"] = [int(i) for i in train.category_ids]
        self._category_ids = val.category_ids
        self._found: list[tuple[int, list[Result]]] = []
        self._ground_truth = val.ground_truth()

    def training_step(self, batch: tuple[Any, list[Target]], batch_idx: int) -> Tensor:
        """The sum of the detector's losses; raises as `checked_loss`."""
        images, targets = batch
        # Each process divides by the mean number of matched anchors: the mean of their losses is that of all images.
        return self.checked_loss(call_detector(self.model, images, targets), [int(t["image_id"]) for t in targets])

    def on_validation_epoch_start(self) -> None:
        """Forget what was found before."""
        self._found = []

    def validation_step(self, batch: tuple[Any, list[Target]], batch_idx: int) -> None:
        """Collect the detections of a batch."""
        images, targets = batch
        sizes = [tuple(target["orig_size"].tolist()) for target in targets]
        for target, detections in zip(targets, detect(self.model, images, sizes), strict=True):
            image_id = int(target["image_id"])
            self._found.append((image_id, to_results(image_id, detections, self._category_ids)))

    def on_validation_epoch_end(self) -> None:
        """COCO's metrics of what all processes found, each image counted once."""
        results = merge_ranks(self.gathered(self._found), self._ground_truth.images)
        metrics = evaluate_coco(self._ground_truth, results)
        self.log_metrics({"AP": metrics.AP, "AP50": metrics.AP50, "AP75": metrics.AP75, "AR100": metrics.AR100})


def detection_task(recipe: SSDLiteRecipe) -> DetectionTask:
    """What Lightning trains by a recipe: the network with its data.

    Raises what these raise, and ValueError if nothing can be learnt from the data, see `require_learnable`.
    """
    train, val = detection_dataset(recipe, train=True), detection_dataset(recipe, train=False)
    require_learnable(train, val)
    return DetectionTask(recipe, train, val)
