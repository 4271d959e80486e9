"""SSD's parts, each usable alone: anchors, box coding, matching, loss and post-processing.

The names below are resolved on first use: matching, loss and post-processing bring torchvision, which takes its time,
and a process that only knows the head, as every one that imports ultralytics, needs the other two.
"""

from importlib import import_module

TYPE_CHECKING = False
if TYPE_CHECKING:
    from mvdet.detection.anchors import AnchorGenerator
    from mvdet.detection.box_coder import BoxCoder
    from mvdet.detection.matcher import match_anchors
    from mvdet.detection.multibox_loss import MultiBoxLoss
    from mvdet.detection.postprocess import postprocess_detections

__all__ = ["AnchorGenerator", "BoxCoder", "MultiBoxLoss", "match_anchors", "postprocess_detections"]

_EXPORTS = {
    "AnchorGenerator": "mvdet.detection.anchors",
    "BoxCoder": "mvdet.detection.box_coder",
    "MultiBoxLoss": "mvdet.detection.multibox_loss",
    "match_anchors": "mvdet.detection.matcher",
    "postprocess_detections": "mvdet.detection.postprocess",
}


def __getattr__(name: str) -> object:
    if name not in _EXPORTS:
        raise AttributeError(f"module 'mvdet.detection' has no attribute {name!r}")
    return getattr(import_module(_EXPORTS[name]), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *_EXPORTS})
