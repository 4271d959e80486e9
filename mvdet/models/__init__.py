"""Backbone and head put together; models by name, and trained models.

The names below are resolved on first use: what builds a backbone alone does not import torchvision.
"""

from importlib import import_module

TYPE_CHECKING = False
if TYPE_CHECKING:
    from mvdet.models.backbone import create_backbone
    from mvdet.models.classifier import MobileViTClassifier
    from mvdet.models.deeplabv3 import DeepLabV3
    from mvdet.models.registry import create_model, list_models
    from mvdet.models.ssdlite import SSDLite

__all__ = ["DeepLabV3", "MobileViTClassifier", "SSDLite", "create_backbone", "create_model", "list_models"]

_EXPORTS = {
    "DeepLabV3": "mvdet.models.deeplabv3",
    "MobileViTClassifier": "mvdet.models.classifier",
    "SSDLite": "mvdet.models.ssdlite",
    "create_backbone": "mvdet.models.backbone",
    "create_model": "mvdet.models.registry",
    "list_models": "mvdet.models.registry",
}


def __getattr__(name: str) -> object:
    if name not in _EXPORTS:
        raise AttributeError(f"module 'mvdet.models' has no attribute {name!r}")
    return getattr(import_module(_EXPORTS[name]), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
