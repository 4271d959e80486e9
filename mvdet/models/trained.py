"""What a `--model` argument means, for every task: a training run's checkpoint, a published name, a weights file."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Literal, Self

from torch import nn
from torchvision.models import ResNet18_Weights

from mvdet.checkpoints.manifest import PublishedWeights, find_published, manifest, published_for
from mvdet.checkpoints.reading import read_torch
from mvdet.checkpoints.torch_files import is_ultralytics_file
from mvdet.checkpoints.weights import Weights, open_weights
from mvdet.class_names import COCO_CATEGORY_IDS, COCO_CLASSES, VOC_SEGMENTATION_CLASSES
from mvdet.models.registry import build_detector, create_model
from mvdet.tasks import CLASSIFICATION, DETECTION, SEGMENTATION, TASKS, Task, task_of_model
from mvdet.wording import did_you_mean

Interpolation = Literal["bilinear", "bicubic"]
Resize = int | tuple[int, int]
"""The shorter side's length, or (height, width)."""


@dataclass(frozen=True, slots=True)
class TrainedDetector:
    """A detector and what its outputs mean.

    Attributes:
        model: in evaluation mode.
        class_names: of label 1, 2, ...
        category_ids: the annotations' own ids of those.
        size: height and width that it was trained at.
    """

    task: ClassVar[Task] = DETECTION
    model: nn.Module
    class_names: tuple[str, ...]
    category_ids: tuple[int, ...]
    size: tuple[int, int]

    @classmethod
    def of_weights(cls, model: nn.Module, num_classes: int, entry: PublishedWeights) -> Self:
        """A detector of weights, see `TrainedModel`: 80 classes are taken for COCO's, others are numbered."""
        size = (entry.image_size, entry.image_size)
        if num_classes == len(COCO_CLASSES) + 1:
            return cls(model, COCO_CLASSES, COCO_CATEGORY_IDS, size)
        ids = tuple(range(1, num_classes))
        return cls(model, tuple(f"class{i}" for i in ids), ids, size)

    @classmethod
    def of_checkpoint(cls, model: nn.Module, known: Mapping[str, Any]) -> Self:
        """The detector that a training run saved; `known` are the hyperparameters in its checkpoint."""
        return cls(model, tuple(known["class_names"]), tuple(known["category_ids"]), _size(known))


@dataclass(frozen=True, slots=True)
class TrainedClassifier:
    """A classifier, what its outputs mean, and what images it expects.

    Attributes:
        model: in evaluation mode.
        class_names: by class number.
        size: height and width of its images.
        interpolation: of the resize before the crop.
        resize: the shorter side's length, or (height, width), before the crop; None as `eval_transform` has it.
        has_names: whether the class names are the training's; False where only their order is known.
    """

    task: ClassVar[Task] = CLASSIFICATION
    model: nn.Module
    class_names: tuple[str, ...]
    size: tuple[int, int]
    interpolation: Interpolation = "bilinear"
    resize: Resize | None = None
    has_names: bool = True

    @classmethod
    def of_weights(cls, model: nn.Module, num_classes: int, entry: PublishedWeights) -> Self:
        """A classifier of weights, see `TrainedModel`: 1000 classes are taken for ImageNet's, others are numbered."""
        # in the order of the class numbers, which is the alphabetical one of the folders' names (n01440764, ...)
        imagenet = tuple(ResNet18_Weights.IMAGENET1K_V1.meta["categories"])
        names = imagenet if num_classes == len(imagenet) else _numbered(num_classes)
        how, size = entry.preprocessing, (entry.image_size, entry.image_size)
        return cls(model, names, size, how["interpolation"], how["resize"], has_names=False)

    @classmethod
    def of_checkpoint(cls, model: nn.Module, known: Mapping[str, Any]) -> Self:
        """The classifier that a training run saved; `known` are the hyperparameters in its checkpoint."""
        return cls(model, tuple(known["class_names"]), _size(known), known["model"]["interpolation"])

    def resize_for(self, size: tuple[int, int]) -> Resize | None:
        """`resize` for images of another size: the crop keeps its share of the resized picture."""
        if size == self.size or self.resize is None:
            return self.resize
        if isinstance(self.resize, int):
            return round(self.resize * min(size) / min(self.size))
        sides = [round(a * b / c) for a, b, c in zip(self.resize, size, self.size, strict=True)]
        return sides[0], sides[1]


@dataclass(frozen=True, slots=True)
class TrainedSegmenter:
    """A segmentation network and what its outputs mean.

    Attributes:
        model: in evaluation mode.
        class_names: by class number.
        size: height and width that it was trained at.
        has_names: whether the class names are the training's; False where only their order is known.
    """

    task: ClassVar[Task] = SEGMENTATION
    model: nn.Module
    class_names: tuple[str, ...]
    size: tuple[int, int]
    has_names: bool = True

    @classmethod
    def of_weights(cls, model: nn.Module, num_classes: int, entry: PublishedWeights) -> Self:
        """A segmentation network of weights, see `TrainedModel`: 21 classes are VOC's, others are numbered."""
        is_voc = num_classes == len(VOC_SEGMENTATION_CLASSES)
        names = VOC_SEGMENTATION_CLASSES if is_voc else _numbered(num_classes)
        return cls(model, names, (entry.image_size, entry.image_size), is_voc)

    @classmethod
    def of_checkpoint(cls, model: nn.Module, known: Mapping[str, Any]) -> Self:
        """The segmentation network that a training run saved; `known` are the hyperparameters in its checkpoint."""
        return cls(model, tuple(known["class_names"]), _size(known))


TrainedModel = TrainedClassifier | TrainedDetector | TrainedSegmenter
"""A network in evaluation mode, and what its outputs mean.

Each has `of_weights`, for weights, which do not say what their classes are called or what images they expect: it takes
the model, their number of classes (with the background where the head counts it) and the published file whose
preprocessing counts. And each has `of_checkpoint`, for what a training run saved: the model and the hyperparameters.
"""
_TRAINED: dict[str, type[TrainedModel]] = {
    trained.task.name: trained for trained in (TrainedClassifier, TrainedDetector, TrainedSegmenter)
}


def find_model(model: str | Path, *, task: str | None = None) -> TrainedModel:
    """The model that a `--model` argument means.

    Weights do not say what their classes are called. Of a detector with 80 classes they are taken for COCO's, of a
    segmentation network with 21 for VOC's; others are named class1, class2, ... (from class0 without a background).
    Those of a published classifier are ImageNet's, which only their order ties to a folder's names. A classifier's file
    is fed as the published file of that network and format.

    Args:
        model: a published name, as `mobilevit_s.apple_in1k`, or `deeplabv3_mobilevit_s` for the one that is DEFAULT; a
            `.ckpt` file that one of the training scripts saved; or a weights file, or folder, of any task and in any
            format that `mvdet.load_weights` takes.
        task: the only one that is allowed: "classification", "detection" or "segmentation"; None allows all.

    Raises:
        FileNotFoundError: no such file and no such name; names the nearest one.
        ValueError: the file cannot be read safely, holds no model, or one for another task; names the file.
        ConnectionError: if published weights must be downloaded and cannot be.
    """
    if (entry := _published(str(model))) is not None:
        _check_task(model, entry.task, task)
        return _of_weights(open_weights(entry.name), entry, entry.num_classes)
    path = Path(model)
    if not path.exists():
        raise FileNotFoundError(_no_model_message(model, task))
    if path.suffix == ".ckpt":
        return load_checkpoint(path, task=task)
    try:
        opened = open_weights(path)
    except ValueError:
        if is_ultralytics_file(path):
            raise ValueError(f"{path}: a checkpoint of ultralytics; `yolo predict model={path}` runs it") from None
        raise
    _check_task(path, opened.task, task)
    if opened.num_classes is None:
        raise ValueError(f"{path}: the layer of its head that counts the classes is missing")
    published = published_for(opened.variant, opened.task)
    alike = next((entry for entry in published if entry.format == opened.source), published[0])
    return _of_weights(opened, alike, opened.num_classes)


def load_checkpoint(checkpoint: str | Path, *, task: str | None = None) -> TrainedModel:
    """The model that a training run saved: with its averaged weights, where it kept an average.

    Args:
        checkpoint: a `.ckpt` file of one of the training scripts.
        task: as in `find_model`.

    Raises:
        FileNotFoundError: no such file.
        ValueError: the file cannot be read safely, or is no checkpoint of a run, or one for another task; names the
            file.
    """
    path = Path(checkpoint)
    if not path.is_file():
        raise FileNotFoundError(f"checkpoint not found: {path}")
    try:
        content = read_torch(path, stand_ins=True)  # another project's is called what it is below
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from None
    known = content.get("hyper_parameters") if isinstance(content, dict) else None
    if not isinstance(known, dict) or not {"model", "class_names"} <= set(known):
        raise ValueError(f"{path}: not a checkpoint that one of mvdet's training scripts has saved")
    name = known["model"]["name"]
    found = DETECTION if "category_ids" in known else task_of_model(name)  # torchvision's detectors have other names
    _check_task(path, found.name, task)
    model = build_detector(name, len(known["class_names"]) + found.has_background, known["model"].get("options", {}))
    weights = content["state_dict"].items()
    model.load_state_dict({key.removeprefix("model."): v for key, v in weights if key.startswith("model.")})
    return _TRAINED[found.name].of_checkpoint(model.eval(), known)


def _published(name: str) -> PublishedWeights | None:
    """The published file that a full name, or the name of a model, means."""
    if name in manifest():
        return manifest()[name]
    entry = next((entry for entry in manifest().values() if entry.model == name), None)
    return entry and find_published("DEFAULT", variant=entry.variant, task=entry.task)


def _of_weights(weights: Weights, entry: PublishedWeights, num_classes: int) -> TrainedModel:
    """A model of opened weights, `entry` being these, or others of the same network, for the preprocessing."""
    options = dict(weights.head_options)
    if entry.task == DETECTION.name:
        options["size"] = (entry.image_size, entry.image_size)
    model = create_model(entry.model, num_classes=num_classes, weights=weights, **options)
    return _TRAINED[entry.task].of_weights(model.eval(), num_classes, entry)


def _check_task(model: str | Path, found: str, wanted: str | None) -> None:
    if found not in TASKS:
        raise ValueError(f"{model}: weights of a {found} alone, a model has a head: for {', '.join(TASKS)}")
    if wanted not in (None, found):
        raise ValueError(f"{model}: weights for {found}, not for {wanted}")


def _no_model_message(model: str | Path, task: str | None) -> str:
    published = {name: entry for name, entry in manifest().items() if task in (None, entry.task)}
    short = sorted({entry.model for entry in published.values()})
    hint = did_you_mean(model, [*short, *published], most=1)
    known = "`python scripts/weights.py list` shows published ones"
    if task is not None:
        known = f"published: {', '.join(published)}"
    return f"no model {str(model)!r}: no such file; {hint}{known}"


def _numbered(num_classes: int) -> tuple[str, ...]:
    return tuple(f"class{i}" for i in range(num_classes))


def _size(known: Mapping[str, Any]) -> tuple[int, int]:
    height, width = known["model"]["size"]
    return height, width
