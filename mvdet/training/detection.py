"""Training a detector: its recipe, the data sets that a recipe names, and what Lightning trains."""

import dataclasses
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, Literal

from torch import Tensor

from mvdet.data.datasets.base import Target
from mvdet.data.datasets.bccd import find_voc_folder
from mvdet.data.datasets.coco import CocoDetection
from mvdet.data.datasets.detection import DetectionDataset
from mvdet.data.datasets.drawn import DrawnDetection, drawn_classes
from mvdet.data.datasets.voc import VocDetection, voc_classes
from mvdet.data.datasets.yolo import YoloDetection
from mvdet.data.shapes.dataset import generate
from mvdet.data.transforms.detection import eval_transform, train_transform
from mvdet.evaluation.metrics.coco import evaluate_coco
from mvdet.evaluation.results import Result, merge_ranks, to_results
from mvdet.models.inputs import call_detector, detect
from mvdet.models.registry import build_detector
from mvdet.tasks import DETECTION
from mvdet.training.checks import require_learnable
from mvdet.training.opening import Opened, Source, described, open_data, training_and_validation
from mvdet.training.recipe import AUTO, SHAPES_FOLDER, TrainingRecipe, setting
from mvdet.training.task import TrainingTask
from mvdet.wording import listed

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
    data_format: Literal["auto", "shapes", "bccd", "coco", "voc", "yolo", "labelme", "via"] = setting(
        AUTO, "auto (found out from data_root), shapes (generated), bccd (downloaded), coco, voc, yolo, labelme or via"
    )
    train_split: tuple[str, ...] | None = setting(
        None, "split or splits; for voc also YEAR:SPLIT, as VOC2007:trainval; none finds them in the folder"
    )
    val_split: tuple[str, ...] | None = setting(
        None, "split or splits that the metrics are measured on; none finds them, or holds val_share out"
    )
    class_names: tuple[str, ...] | None = setting(None, "the classes; none finds them in the files")
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
        self.check_data_root("coco", "voc", "yolo", "labelme", "via")


SOURCES: dict[str, Source] = {
    "shapes": lambda recipe: (generate(recipe.data_root or SHAPES_FOLDER), "coco"),
    "bccd": lambda recipe: (find_voc_folder(BCCD_FOLDER, recipe.data_root), "voc"),
}
"""Data that makes or fetches itself: where it then lies, and in which format."""


def _read_coco(recipe: SSDLiteRecipe, opened: Opened, options: dict[str, Any]) -> DetectionDataset:
    if len(opened.places) != 1:
        names = ", ".join(str(place.annotations) for place in opened.places)
        raise ValueError(f"a coco data set is trained and evaluated on one json file each, got {names}")
    (place,) = opened.places
    assert place.annotations is not None
    dataset = CocoDetection(place.annotations, place.images, **options)
    if recipe.class_names is not None and set(recipe.class_names) != set(dataset.class_names):
        raise ValueError(
            f"{place.annotations}: its classes are {listed(dataset.class_names)}, not the class_names that were given, "
            f"{listed(recipe.class_names)}; leave them out"
        )
    return dataset


def _read_voc(recipe: SSDLiteRecipe, opened: Opened, options: dict[str, Any]) -> DetectionDataset:
    names = recipe.class_names or opened.found.class_names or voc_classes(opened.all_places)
    return VocDetection(opened.found.root, places=opened.places, class_names=names, **options)


def _read_yolo(recipe: SSDLiteRecipe, opened: Opened, options: dict[str, Any]) -> DetectionDataset:
    known = opened.found.class_names or ()
    if recipe.class_names is not None and len(recipe.class_names) != len(known):
        raise ValueError(
            f"{opened.found.root}: has {len(known)} classes, {listed(known)}; class_names names "
            f"{len(recipe.class_names)}, {listed(recipe.class_names)}"
        )
    return YoloDetection(opened.places, recipe.class_names or known, **options)


def _read_drawn(recipe: SSDLiteRecipe, opened: Opened, options: dict[str, Any]) -> DetectionDataset:
    data_format = opened.found.data_format
    names = recipe.class_names or drawn_classes(opened.all_places, data_format)
    return DrawnDetection(opened.places, data_format, names, **options)


READERS: dict[str, Callable[[SSDLiteRecipe, Opened, dict[str, Any]], DetectionDataset]] = {
    "coco": _read_coco,
    "voc": _read_voc,
    "yolo": _read_yolo,
    "labelme": _read_drawn,
    "via": _read_drawn,
}
"""By data format: the data set of a recipe at its places."""

NAMED_IN_FILES = ("voc", "labelme", "via")
"""The formats whose classes are those that the annotations happen to name."""


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
    opened = open_data(recipe, DETECTION, SOURCES, train=train)
    return opened.part_of(READERS[opened.found.data_format](recipe, opened, options))


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
    train, val = training_and_validation(detection_dataset, recipe)
    require_learnable(train, val, described(recipe, DETECTION))
    return DetectionTask(recipe, train, val)
