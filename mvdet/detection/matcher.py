"""Which object each anchor is to find."""

import torch
from torch import Tensor
from torchvision.ops import box_iou

BACKGROUND = -1
"""What an anchor that is to find nothing is matched with."""


def match_anchors(boxes: Tensor, valid: Tensor, anchors: Tensor, *, iou_threshold: float = 0.5) -> Tensor:
    """SSD's matching (Liu et al., 2016, arXiv:1512.02325, section 2.2), for a whole batch at once.

    An anchor is matched with the box that it overlaps most, if by `iou_threshold` or more. Each box also keeps the
    anchor that overlaps it most, however little; of two boxes with the same best anchor, the one that overlaps it more
    keeps it.

    Args:
        boxes: [B, T, 4] xyxy, padded to the largest number of objects.
        valid: [B, T] bool, False for padding.
        anchors: [N, 4] xyxy, in the boxes' unit.
        iou_threshold: least overlap, intersection over union.

    Returns:
        [B, N] int64: index of the box, or `BACKGROUND`.
    """
    batch, objects = valid.shape
    if objects == 0:
        return torch.full((batch, len(anchors)), BACKGROUND, dtype=torch.int64, device=anchors.device)
    # [B * T, N] -> [B, T, N]; padding overlaps nothing
    iou: Tensor = box_iou(boxes.flatten(0, 1), anchors).view(batch, objects, -1).masked_fill(~valid[..., None], -1)
    best_anchor = iou.argmax(dim=2, keepdim=True)  # [B, T, 1]
    iou = iou.scatter_add(2, best_anchor, valid[..., None] * 2.0)  # beyond any overlap, its order kept
    best_iou, best_box = iou.max(dim=1)  # [B, N]
    return best_box.masked_fill(best_iou < iou_threshold, BACKGROUND)
