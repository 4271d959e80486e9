"""MobileViT under stock ultralytics: modules for model definitions, registration, grafting, multi-scale training.

This is the only part of mvdet that imports ultralytics, and every module of it does so first: where mvdet is
installed, the end of that import registers mvdet, for which no module of this package may be half imported.
"""

from importlib import import_module

import ultralytics.nn.tasks  # noqa: F401

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

# Resolved on first use: what registration does not need must not make `import ultralytics` slower.
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
    return getattr(import_module(_EXPORTS[name]), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *_EXPORTS})
