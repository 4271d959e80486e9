"""Metrics: COCO, VOC, mean IoU, top-1 accuracy."""
