"""SSD's parts, each usable alone: anchors, box coding, matching, loss and post-processing."""

from mvdet.detection.anchors import AnchorGenerator
from mvdet.detection.box_coder import BoxCoder
from mvdet.detection.matcher import match_anchors
from mvdet.detection.multibox_loss import MultiBoxLoss
from mvdet.detection.postprocess import postprocess_detections

__all__ = ["AnchorGenerator", "BoxCoder", "MultiBoxLoss", "match_anchors", "postprocess_detections"]
