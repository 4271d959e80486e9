"""Training a detector, for Lightning."""

import dataclasses
from functools import partial
from pathlib import Path
from typing import Any, Literal

from torch import Tensor

from mvdet.data.datasets.base import TransformFactory
from mvdet.data.datasets.bccd import find_voc_folder
from mvdet.data.datasets.base import Target
from mvdet.data.datasets.coco import CocoDetection, coco_split
from mvdet.data.datasets.detection import DetectionDataset
from mvdet.data.datasets.voc import VocDetection
from mvdet.data.io.faults import DEFAULT_POLICY, BadDataPolicy
from mvdet.data.io.voc import split_or_image_sets
from mvdet.data.shapes.dataset import generate
from mvdet.data.transforms.detection import eval_transform, train_transform
from mvdet.evaluation.metrics.coco import evaluate_coco
from mvdet.evaluation.results import Result, merge_ranks, to_results
from mvdet.models.inputs import call_detector, detect
from mvdet.models.registry import build_detector
from mvdet.resources import resource
from mvdet.training.recipe import TrainingRecipe, setting
from mvdet.training.task import TrainingTask

DataFormat = Literal["shapes", "bccd", "coco", "voc"]


@dataclasses.dataclass(frozen=True)
class SSDLiteRecipe(TrainingRecipe):
    """Every setting of a run; each is a key of a recipe's YAML and a flag of `scripts/train_ssdlite.py`.

    Raises:
        ValueError: for a value out of range; names it.
    """

    # data
    data_format: DataFormat = setting("shapes", "shapes (generated), bccd (downloaded), coco or voc")
    train_split: tuple[str, ...] = setting(("train",), "split or splits; for voc also YEAR:SPLIT, as VOC2007:trainval")
    val_split: tuple[str, ...] = setting(("val",), "split or splits that the metrics are measured on")
    class_names: tuple[str, ...] | None = setting(None, "classes of a voc data set; none finds them in the files")
    on_bad_data: BadDataPolicy = setting(DEFAULT_POLICY, "error or skip: what to do with unusable images and objects")
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
        if self.data_format in ("coco", "voc") and self.data_root is None:
            raise ValueError(f"data_format {self.data_format} needs a data_root")


def recipes() -> dict[str, Path]:
    """The recipe that each data format starts from."""
    return {name: resource(f"cfg/recipes/ssdlite_{name}.yaml") for name in ("shapes", "bccd", "coco", "voc")}


def detection_dataset(recipe: SSDLiteRecipe, *, train: bool, size: tuple[int, int] | None = None) -> DetectionDataset:
    """The training or the validation images of a recipe.

    Args:
        recipe: says which, and how they are augmented.
        train: the training images, augmented.
        size: height and width in place of the recipe's.

    Raises:
        FileNotFoundError, ValueError: as the data sets.
        ConnectionError: BCCD must be downloaded and cannot be.
    """
    splits = recipe.train_split if train else recipe.val_split
    transform: TransformFactory = eval_transform
    if train:
        transform = partial(
            train_transform,
            sample_crop=recipe.sample_crop,
            photometric=recipe.photometric,
            flip=recipe.flip,
            zoom_out=recipe.zoom_out,
        )
    root = _data_root(recipe)
    options: Any = {
        "train": train,
        "on_bad_data": recipe.on_bad_data,
        "transform": transform,
        "size": size or recipe.size,
        "seed": recipe.seed,
    }
    if recipe.data_format in ("shapes", "coco"):
        if len(splits) != 1:
            raise ValueError(f"a coco data set is trained and evaluated on one split each, got {', '.join(splits)}")
        return CocoDetection(*coco_split(root, splits[0]), **options)
    return VocDetection(root, **split_or_image_sets(splits), class_names=recipe.class_names, **options)


def _data_root(recipe: SSDLiteRecipe) -> Path:
    """Where the data lies; what makes or fetches itself is made or fetched."""
    if recipe.data_format == "shapes":
        return generate(recipe.data_root or Path("datasets/shapes"))
    if recipe.data_format == "bccd":
        return find_voc_folder(Path("datasets/BCCD_Dataset"), recipe.data_root)
    assert recipe.data_root is not None
    return recipe.data_root


# Settings of a recipe that are arguments of the network.
_MODEL_OPTIONS = ("size", "output_stride", "expand_output", "freeze", "freeze_batch_norm")
_WEIGHTS = ("weights", "weights_backbone", "head")


class DetectionTask(TrainingTask):
    """A detector, its losses and its evaluation by COCO's metrics.

    Args:
        recipe: all settings.
        train: training images.
        val: validation images.
    """

    monitor = "AP"

    def __init__(self, recipe: SSDLiteRecipe, train: DetectionDataset, val: DetectionDataset) -> None:
        description = describe_run(recipe, train)
        name, options = description["model"]["name"], description["model"]["options"]
        weights = {} if recipe.model else {name: getattr(recipe, name) for name in _WEIGHTS}
        model = build_detector(name, len(train.class_names) + 1, options | weights)
        super().__init__(recipe, model, train, val, description)
        self._category_ids = val.category_ids
        self._found: list[tuple[int, list[Result]]] = []
        self._ground_truth = val.ground_truth()

    def training_step(self, batch: tuple[Any, list[Target]], batch_idx: int) -> Tensor:
        """The sum of the detector's losses; raises as `checked_loss`."""
        images, targets = batch
        # Each process divides by the mean number of matched anchors: the mean of theirs is the loss of all images.
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
    """The task of a recipe, with its data; raises as these."""
    return DetectionTask(recipe, detection_dataset(recipe, train=True), detection_dataset(recipe, train=False))


def describe_run(recipe: SSDLiteRecipe, dataset: DetectionDataset) -> dict[str, Any]:
    """What a checkpoint says of itself, in plain types that `weights_only=True` reads."""
    options = {} if recipe.model else {name: getattr(recipe, name) for name in _MODEL_OPTIONS}
    return {
        "recipe": recipe.as_dict(),
        "model": {"name": recipe.model or f"ssdlite_{recipe.backbone}", "options": options, "size": list(recipe.size)},
        "class_names": list(dataset.class_names),
        "category_ids": [int(i) for i in dataset.category_ids],
    }
