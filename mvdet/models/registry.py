"""Models by name."""

import inspect
from collections.abc import Callable
from pathlib import Path
from typing import Any

from torch import nn

from mvdet.backbones.variants import VARIANTS
from mvdet.checkpoints.convert import HeadChoice, check_head
from mvdet.checkpoints.locate import resolve_name
from mvdet.models.classifier import MobileViTClassifier
from mvdet.models.deeplabv3 import DeepLabV3
from mvdet.models.ssdlite import SSDLite
from mvdet.wording import unknown_name_message

PREFIX = "torchvision/"


def create_peer(name: str, num_classes: int) -> nn.Module:
    """One of torchvision's detectors with random weights, as in `torchvision/ssdlite320_mobilenet_v3_large`.

    Args:
        name: "torchvision/" and a name of torchvision.models.detection.
        num_classes: classes, background included.

    Raises:
        ValueError: for a name that torchvision does not have among its detectors; lists those.
    """
    from torchvision.models import detection, get_model, list_models

    known = list_models(module=detection)
    own = name.removeprefix(PREFIX)
    if not name.startswith(PREFIX) or own not in known:
        raise ValueError(f"unknown model {name!r}; available: {', '.join(PREFIX + one for one in known)}")
    return get_model(own, weights=None, weights_backbone=None, num_classes=num_classes)


# What a model's name starts with, before its backbone's; the classifier bears its backbone's name alone.
FAMILIES: dict[str, Callable[..., nn.Module]] = {
    "deeplabv3_": DeepLabV3,
    "ssdlite_": SSDLite,
    "": MobileViTClassifier,
}


def list_models() -> list[str]:
    """Names that `create_model` takes: classifiers, then detectors, then segmentation networks."""
    return [prefix + variant for prefix in reversed(FAMILIES) for variant in VARIANTS]


def create_model(
    name: str,
    *,
    weights: str | Path | None = None,
    weights_backbone: str | Path | None = None,
    head: HeadChoice = "load",
    **options: Any,
) -> nn.Module:
    """A network by name: `mobilevit_s` classifies, `ssdlite_mobilevit_s` detects, `deeplabv3_mobilevit_s` segments.

    Args:
        name: one of `list_models()`; "auto" in place of the backbone's name takes the one that the weights (a file, a
            folder or a full published name) are of.
        weights: "DEFAULT", "apple", "timm", "transformers" or another published name of `weights/manifest.yaml`; the
            path of a weights file or folder of any of these sources; None for random weights.
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
    prefix = next(prefix for prefix in FAMILIES if name.startswith(prefix))
    variant = resolve_name(name.removeprefix(prefix), weights_backbone if weights is None else weights)
    if variant not in VARIANTS:
        raise ValueError(unknown_name_message("model", name, list_models()))
    parameters = inspect.signature(FAMILIES[prefix]).parameters.values()
    known = [parameter.name for parameter in parameters if parameter.kind is parameter.KEYWORD_ONLY]
    for option in options:
        if option not in known:
            raise TypeError(unknown_name_message(f"option of {prefix}{variant}", option, known))
    model = FAMILIES[prefix](VARIANTS[variant], **options)
    if weights is not None or weights_backbone is not None:
        from mvdet.checkpoints import load_weights

        if weights_backbone is not None:
            load_weights(model.get_submodule("backbone"), weights_backbone)
        if weights is not None:
            load_weights(model, weights, head=head)
    return model
