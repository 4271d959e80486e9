"""Models by name."""

import inspect
from collections.abc import Callable, Mapping
from typing import Any

from torch import nn
from torchvision.models import detection, get_model
from torchvision.models import list_models as list_torchvision_models

from mvdet.backbones.variants import VARIANTS
from mvdet.checkpoints.convert import HeadChoice, check_head
from mvdet.checkpoints.weights import WeightsLike, choose_variant, load_weights
from mvdet.models.classifier import MobileViTClassifier
from mvdet.models.deeplabv3 import DeepLabV3
from mvdet.models.ssdlite import SSDLite
from mvdet.tasks import TASKS, task_of_model
from mvdet.wording import unknown_name_message

MODELS: dict[str, Callable[..., nn.Module]] = {
    "classification": MobileViTClassifier,
    "detection": SSDLite,
    "segmentation": DeepLabV3,
}
"""The class of the models of each task; it takes a `VariantSpec` and keyword arguments."""
PEERS = "torchvision/"
"""What stands before the name of a detector that is torchvision's."""


def list_models() -> list[str]:
    """Names that `create_model` takes: classifiers, then detectors, then segmentation networks."""
    return [task.prefix + variant for task in TASKS.values() for variant in VARIANTS]


def create_model(
    name: str,
    *,
    weights: WeightsLike | None = None,
    weights_backbone: WeightsLike | None = None,
    head: HeadChoice = "load",
    **options: Any,
) -> nn.Module:
    """A network by name: `mobilevit_s` classifies, `ssdlite_mobilevit_s` detects, `deeplabv3_mobilevit_s` segments.

    Args:
        name: one of `list_models()`; "auto" in place of the backbone's name takes the one that the weights (a file, a
            folder or a full published name) are of.
        weights: "DEFAULT", "apple", "timm", "transformers" or another published name of `weights/manifest.yaml`; the
            path of a weights file or folder of any of these sources; what `mvdet.checkpoints.open_weights` returned;
            None for random weights.
        weights_backbone: the same for the backbone alone, which takes a classifier's weights.
        head: "load" the layers whose size follows the number of classes, or "skip" them and keep new ones.
        options: arguments of the model's class (`mvdet.models.MobileViTClassifier`, `mvdet.models.SSDLite`,
            `mvdet.models.DeepLabV3`): `num_classes`, `in_channels` and others.

    Raises:
        ValueError: for an unknown name, impossible options, or weights of another network.
        TypeError: for an option that the model does not have; names those that it has.
        FileNotFoundError: if weights are no name, file or folder.
        ConnectionError: if published weights must be downloaded and cannot be.
    """
    check_head(head)
    task = task_of_model(name)
    variant = name.removeprefix(task.prefix)
    if weights is None:
        variant, weights_backbone = choose_variant(variant, weights_backbone)
    else:
        variant, weights = choose_variant(variant, weights)
    if variant not in VARIANTS:
        raise ValueError(unknown_name_message("model", name, list_models()))
    build = MODELS[task.name]
    parameters = inspect.signature(build).parameters.values()
    known = [parameter.name for parameter in parameters if parameter.kind is parameter.KEYWORD_ONLY]
    for option in options:
        if option not in known:
            raise TypeError(unknown_name_message(f"option of {task.prefix}{variant}", option, known))
    model = build(VARIANTS[variant], **options)
    if weights_backbone is not None:
        load_weights(model.get_submodule("backbone"), weights_backbone)
    if weights is not None:
        load_weights(model, weights, head=head)
    return model


def build_detector(name: str, num_classes: int, options: Mapping[str, Any]) -> nn.Module:
    """A detector by name, ours as `create_model` makes it, or torchvision's, with random weights.

    Args:
        name: one of `list_models()`, or "torchvision/" and a name of torchvision.models.detection, as in
            "torchvision/ssdlite320_mobilenet_v3_large".
        num_classes: classes, background included.
        options: of `create_model`; torchvision's take none of them.

    Raises:
        ValueError: for a name that torchvision does not have among its detectors; lists those. Else as `create_model`.
        TypeError: as `create_model`.
    """
    if not name.startswith(PEERS):
        return create_model(name, num_classes=num_classes, **options)
    known = list_torchvision_models(module=detection)
    if name.removeprefix(PEERS) not in known:
        raise ValueError(f"unknown model {name!r}; available: {', '.join(PEERS + peer for peer in known)}")
    model: nn.Module = get_model(name.removeprefix(PEERS), weights=None, weights_backbone=None, num_classes=num_classes)
    return model
