"""MobileViT under stock ultralytics: YAML module, registration, grafting. The only part that imports ultralytics."""

TYPE_CHECKING = False
if TYPE_CHECKING:
    from mvdet.yolo.deeplabv3 import DeepLabV3SemanticSegment
    from mvdet.yolo.grafting import graft, write_yaml
    from mvdet.yolo.modules import MobileViT
    from mvdet.yolo.multi_scale import MultiScaleDetectionTrainer
    from mvdet.yolo.registration import register
    from mvdet.yolo.ssdlite import SSDLiteDetect

__all__ = [
    "DeepLabV3SemanticSegment",
    "MobileViT",
    "MultiScaleDetectionTrainer",
    "SSDLiteDetect",
    "graft",
    "register",
    "write_yaml",
]

# Resolved on first use: registration runs while ultralytics is being imported, before grafting could be.
_EXPORTS = {
    "DeepLabV3SemanticSegment": "mvdet.yolo.deeplabv3",
    "MobileViT": "mvdet.yolo.modules",
    "MultiScaleDetectionTrainer": "mvdet.yolo.multi_scale",
    "SSDLiteDetect": "mvdet.yolo.ssdlite",
    "graft": "mvdet.yolo.grafting",
    "register": "mvdet.yolo.registration",
    "write_yaml": "mvdet.yolo.grafting",
}


def __getattr__(name: str) -> object:
    if name not in _EXPORTS:
        raise AttributeError(f"module 'mvdet.yolo' has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(_EXPORTS[name]), name)
