"""How detectors are fed, and how they are found: in a training run's checkpoint, by a published name, in a file."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from mvdet.backbones.registry import did_you_mean
from mvdet.checkpoints.describe import describe_weights
from mvdet.checkpoints.files import read_torch
from mvdet.checkpoints.manifest import TASK_PREFIXES, find_published, manifest
from mvdet.checkpoints.ultralytics_file import is_ultralytics_file
from mvdet.data.coco_classes import COCO_CATEGORY_IDS, COCO_CLASSES
from mvdet.models.peers import PREFIX, create_peer
from mvdet.models.registry import create_model
from mvdet.models.ssdlite import SSDLite

_TASK = "detection"


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


def build_detector(name: str, num_classes: int, options: Mapping[str, Any]) -> nn.Module:
    """`mvdet.create_model`, or a detector of torchvision's, which takes no options; errors as those."""
    if name.startswith(PREFIX):
        return create_peer(name, num_classes)
    return create_model(name, num_classes=num_classes, **options)


def find_detector(model: str | Path) -> TrainedDetector:
    """The detector that a `--model` argument means.

    Args:
        model: a published detector, as `ssdlite_mobilevit_s.apple_coco`, or `ssdlite_mobilevit_s` for the one that is
            DEFAULT; a `.ckpt` file that training saved; or a weights file, or folder, of a detector in any format that
            `mvdet.load_weights` takes. Weights do not say their classes: 80 are taken for COCO's, others are named
            class1, class2, ...

    Raises:
        FileNotFoundError: no such file and no such name; names the nearest one.
        ValueError: the file cannot be read safely or is no detector's; names the file.
        ConnectionError: if published weights must be downloaded and cannot be.
    """
    published = {name: entry for name, entry in manifest().items() if entry.task == _TASK}
    short = {TASK_PREFIXES[_TASK] + entry.variant for entry in published.values()}
    if str(model) in short or str(model) in manifest():
        return _published_detector(str(model))
    path = Path(model)
    if not path.exists():
        hint = did_you_mean(model, [*sorted(short), *published], most=1)
        raise FileNotFoundError(f"no model {str(model)!r}: no such file; {hint}published: {', '.join(published)}")
    if path.suffix == ".ckpt":
        return load_detector(path)
    if is_ultralytics_file(path):
        raise ValueError(f"{path}: a checkpoint of ultralytics; `yolo predict model={path}` runs it")
    return _detector_of_weights(path)


def _published_detector(name: str) -> TrainedDetector:
    if name in manifest():
        entry = manifest()[name]
        if entry.task != _TASK:
            raise ValueError(f"{name}: weights for {entry.task}, not for {_TASK}")
    else:
        entry = find_published("DEFAULT", variant=name.removeprefix(TASK_PREFIXES[_TASK]), task=_TASK)
    model = create_model(
        TASK_PREFIXES[_TASK] + entry.variant,
        weights=entry.name,
        num_classes=entry.num_classes,
        size=(entry.image_size, entry.image_size),
    )
    return _with_default_classes(model, entry.num_classes)


def _detector_of_weights(path: Path) -> TrainedDetector:
    info = describe_weights(path)
    if info.task != _TASK or info.num_classes is None:
        raise ValueError(f"{path}: weights for {info.task}, not for {_TASK}")
    name = TASK_PREFIXES[_TASK] + info.variant
    return _with_default_classes(create_model(name, num_classes=info.num_classes, weights=path), info.num_classes)


def _with_default_classes(model: nn.Module, num_classes: int) -> TrainedDetector:
    """A detector whose weights do not say what its classes, the background included, are called."""
    names: tuple[str, ...] = COCO_CLASSES
    ids: tuple[int, ...] = COCO_CATEGORY_IDS
    if num_classes != len(COCO_CLASSES) + 1:
        ids = tuple(range(1, num_classes))
        names = tuple(f"class{i}" for i in ids)
    assert isinstance(model, SSDLite)
    return TrainedDetector(model.eval(), names, ids, model.size)


def load_detector(checkpoint: str | Path) -> TrainedDetector:
    """The detector that a training run saved: with its averaged weights, where it kept an average.

    Raises:
        FileNotFoundError: no such file.
        ValueError: the file cannot be read safely, or is no checkpoint of a detector; names the file.
    """
    path = Path(checkpoint)
    if not path.is_file():
        raise FileNotFoundError(f"checkpoint not found: {path}")
    try:
        content = read_torch(path)
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from None
    known = content.get("hyper_parameters", {}) if isinstance(content, dict) else {}
    if not {"model", "class_names", "category_ids"} <= set(known):
        raise ValueError(f"{path}: not a checkpoint of a detector that scripts/train_ssdlite.py has trained")
    names = tuple(known["class_names"])
    options = known["model"]["options"]
    model = build_detector(known["model"]["name"], len(names) + 1, options)
    weights = content["state_dict"].items()
    model.load_state_dict({key.removeprefix("model."): v for key, v in weights if key.startswith("model.")})
    return TrainedDetector(model.eval(), names, tuple(known["category_ids"]), tuple(known["model"]["size"]))


def as_input(images: Tensor | Sequence[Tensor]) -> Tensor | list[Tensor]:
    """uint8 pixels as the networks expect them: float in [0, 1]."""
    if isinstance(images, Tensor):
        return (images.float() / 255).contiguous(memory_format=torch.channels_last)
    return [image.float() / 255 for image in images]


def call_detector(
    model: nn.Module, images: Tensor | Sequence[Tensor], targets: Sequence[dict[str, Tensor]] | None = None
) -> Any:
    """Call a detector, ours or torchvision's, with uint8 images [B, 3, H, W] or a list of [3, H, W]."""
    inputs = as_input(images)
    # torchvision's own detectors take lists only
    is_list = isinstance(inputs, list) or type(model).__module__.startswith("torchvision.")
    return model(list(inputs) if is_list else inputs, targets)


def detect(
    model: nn.Module, images: Tensor | Sequence[Tensor], orig_sizes: Sequence[tuple[int, int]]
) -> list[dict[str, Tensor]]:
    """Detections in the pixels of the stored images.

    Args:
        model: a detector in evaluation mode.
        images: [B, 3, H, W] uint8, or a list of [3, H, W].
        orig_sizes: height and width of each image as it is stored.
    """
    found = call_detector(model, images)
    for image, detections, (height, width) in zip(images, found, orig_sizes, strict=True):
        ratio = [width / image.shape[-1], height / image.shape[-2]]
        detections["boxes"] = detections["boxes"] * detections["boxes"].new_tensor(ratio * 2)
    return found
