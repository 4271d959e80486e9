"""Detectors of other libraries in the same harness, so that a comparison is one flag away."""

from torch import nn

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
