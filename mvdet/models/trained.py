"""What a `--model` argument means, for every task: a training run's checkpoint, a published name, a weights file."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import nn

from mvdet.checkpoints.describe import WeightsInfo, describe_weights
from mvdet.checkpoints.manifest import TASK_PREFIXES, PublishedWeights, find_published, manifest, published_for
from mvdet.checkpoints.reading import read_torch
from mvdet.checkpoints.torch_files import is_ultralytics_file
from mvdet.class_names import COCO_CATEGORY_IDS, COCO_CLASSES, VOC_SEGMENTATION_CLASSES
from mvdet.data.transforms.classification import Interpolation, Resize
from mvdet.models.registry import PREFIX, create_model, create_peer
from mvdet.models.ssdlite import SSDLite
from mvdet.wording import did_you_mean

TASK_NOUNS = {"classification": "classifier", "detection": "detector", "segmentation": "segmentation network"}


@dataclass(frozen=True, slots=True)
class TrainedDetector:
    """A detector and what its outputs mean.

    Attributes:
        model: in evaluation mode.
        class_names: of label 1, 2, ...
        category_ids: the annotations' own ids of those.
        size: height and width that it was trained at.
    """

    model: nn.Module
    class_names: tuple[str, ...]
    category_ids: tuple[int, ...]
    size: tuple[int, int]


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

    model: nn.Module
    class_names: tuple[str, ...]
    size: tuple[int, int]
    interpolation: Interpolation = "bilinear"
    resize: Resize | None = None
    has_names: bool = True

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

    model: nn.Module
    class_names: tuple[str, ...]
    size: tuple[int, int]
    has_names: bool = True


TrainedModel = TrainedClassifier | TrainedDetector | TrainedSegmenter


def task_of(trained: TrainedModel) -> str:
    """ "classification", "detection" or "segmentation"."""
    tasks = {TrainedClassifier: "classification", TrainedDetector: "detection", TrainedSegmenter: "segmentation"}
    return tasks[type(trained)]


def build_detector(name: str, num_classes: int, options: Mapping[str, Any]) -> nn.Module:
    """`mvdet.create_model`, or a detector of torchvision's, which takes no options; errors as those."""
    if name.startswith(PREFIX):
        return create_peer(name, num_classes)
    return create_model(name, num_classes=num_classes, **options)


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
    short = {TASK_PREFIXES[entry.task] + entry.variant: entry for entry in manifest().values()}
    if str(model) in short or str(model) in manifest():
        entry = manifest().get(str(model)) or find_published(
            "DEFAULT", variant=short[str(model)].variant, task=short[str(model)].task
        )
        _check_task(model, entry.task, task)
        return _published_model(entry)
    path = Path(model)
    if not path.exists():
        raise FileNotFoundError(_no_model_message(model, task))
    if path.suffix == ".ckpt":
        return load_checkpoint(path, task=task)
    if is_ultralytics_file(path):
        raise ValueError(f"{path}: a checkpoint of ultralytics; `yolo predict model={path}` runs it")
    info = describe_weights(path)
    _check_task(path, info.task, task)
    return _model_of_weights(path, info)


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
        content = read_torch(path)
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from None
    known = content.get("hyper_parameters", {}) if isinstance(content, dict) else {}
    if not {"model", "class_names"} <= set(known):
        raise ValueError(f"{path}: not a checkpoint that one of mvdet's training scripts has saved")
    name, names = known["model"]["name"], tuple(known["class_names"])
    found = "detection" if "category_ids" in known else _task_of_name(name)
    _check_task(path, found, task)
    options, size = known["model"].get("options", {}), (known["model"]["size"][0], known["model"]["size"][1])
    model = build_detector(name, len(names) + (found == "detection"), options)
    weights = content["state_dict"].items()
    model.load_state_dict({key.removeprefix("model."): v for key, v in weights if key.startswith("model.")})
    model.eval()
    if found == "detection":
        return TrainedDetector(model, names, tuple(known["category_ids"]), size)
    if found == "segmentation":
        return TrainedSegmenter(model, names, size)
    return TrainedClassifier(model, names, size, known["model"]["interpolation"])


def _task_of_name(name: str) -> str:
    return next(
        (task for task, prefix in TASK_PREFIXES.items() if prefix and name.startswith(prefix)), "classification"
    )


def _check_task(model: str | Path, found: str, wanted: str | None) -> None:
    if found not in TASK_PREFIXES:
        raise ValueError(f"{model}: weights of a {found} alone, a model has a head: for {', '.join(TASK_PREFIXES)}")
    if wanted not in (None, found):
        raise ValueError(f"{model}: weights for {found}, not for {wanted}")


def _no_model_message(model: str | Path, task: str | None) -> str:
    published = {name: entry for name, entry in manifest().items() if task in (None, entry.task)}
    short = sorted({TASK_PREFIXES[entry.task] + entry.variant for entry in published.values()})
    hint = did_you_mean(model, [*short, *published], most=1)
    known = "`python scripts/weights.py list` shows published ones"
    if task is not None:
        known = f"published: {', '.join(published)}"
    return f"no model {str(model)!r}: no such file; {hint}{known}"


def _published_model(entry: PublishedWeights) -> TrainedModel:
    options: dict[str, Any] = {"weights": entry.name, "num_classes": entry.num_classes}
    size = (entry.image_size, entry.image_size)
    if entry.task == "detection":
        options["size"] = size
    if entry.task == "segmentation" and entry.format == "transformers":
        options["aux_head"] = False  # which transformers leaves out
    return _with_default_classes(create_model(TASK_PREFIXES[entry.task] + entry.variant, **options), entry, size)


def _model_of_weights(path: Path, info: WeightsInfo) -> TrainedModel:
    assert info.num_classes is not None
    model = create_model(
        TASK_PREFIXES[info.task] + info.variant, num_classes=info.num_classes, weights=path, **info.head_options
    )
    published = published_for(info.variant, info.task)
    alike = next((entry for entry in published if entry.format == info.source), published[0])
    size = model.size if isinstance(model, SSDLite) else (alike.image_size, alike.image_size)
    return _with_default_classes(model, alike, size, info.num_classes)


def _with_default_classes(
    model: Any, entry: PublishedWeights, size: tuple[int, int], num_classes: int | None = None
) -> TrainedModel:
    """A model whose weights do not say what their classes are called, and what images they expect.

    Args:
        model: of the weights.
        entry: these, or others of the same network, for the preprocessing.
        size: height and width of the images.
        num_classes: of the weights, with the background where the head counts it; None takes the entry's.
    """
    model.eval()
    count = entry.num_classes if num_classes is None else num_classes
    if entry.task == "detection":
        if count == len(COCO_CLASSES) + 1:
            return TrainedDetector(model, COCO_CLASSES, COCO_CATEGORY_IDS, size)
        ids = tuple(range(1, count))
        return TrainedDetector(model, tuple(f"class{i}" for i in ids), ids, size)
    numbered = tuple(f"class{i}" for i in range(count))
    if entry.task == "segmentation":
        is_voc = count == len(VOC_SEGMENTATION_CLASSES)
        return TrainedSegmenter(model, VOC_SEGMENTATION_CLASSES if is_voc else numbered, size, is_voc)
    names = _imagenet_classes() if count == 1000 else numbered
    resize, interpolation = entry.preprocessing["resize"], entry.preprocessing["interpolation"]
    return TrainedClassifier(model, names, size, interpolation, resize, has_names=False)


def _imagenet_classes() -> tuple[str, ...]:
    """By class number, which is the alphabetical order of the folders' names (n01440764, ...); torchvision's list."""
    from torchvision.models import ResNet18_Weights

    return tuple(ResNet18_Weights.IMAGENET1K_V1.meta["categories"])
