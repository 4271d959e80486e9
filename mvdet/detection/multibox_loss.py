"""SSD's loss (Liu et al., 2016, arXiv:1512.02325, section 2.2): smooth L1 on offsets, cross-entropy with mining."""

from collections.abc import Sequence

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.nn import functional as F
from torchvision.ops import box_convert

from mvdet.detection.box_coder import BoxCoder
from mvdet.detection.matcher import match_anchors


class MultiBoxLoss(nn.Module):
    """Smooth L1 on the offsets of matched anchors, cross-entropy on them and on the hardest of the others.

    Both losses are sums over anchors, divided by the number of anchors that have an object.

    That number is the batch's; where several processes train together it is the mean of theirs, so that averaging their
    gradients gives those of one process with all of the images.

    Args:
        negative_ratio: how many anchors without an object count, the hardest ones, for each with an object in the
            image.
        iou_threshold: overlap, intersection over union, from which an anchor is matched.
        box_coder: encodes the boxes; None takes SSD's variances.
    """

    def __init__(
        self, *, negative_ratio: float = 3.0, iou_threshold: float = 0.5, box_coder: BoxCoder | None = None
    ) -> None:
        super().__init__()
        self.negative_ratio = negative_ratio
        self.iou_threshold = iou_threshold
        self.box_coder = box_coder or BoxCoder()

    def forward(
        self,
        head_outputs: dict[str, Tensor],
        anchors: Tensor,
        boxes: Sequence[Tensor],
        labels: Sequence[Tensor],
    ) -> dict[str, Tensor]:
        """The two losses, under torchvision's names.

        Args:
            head_outputs: `cls_logits` [B, N, K] and `bbox_regression` [B, N, 4].
            anchors: [N, 4] cxcywh, relative to the image.
            boxes: for each image [n, 4] xyxy, relative to the image, of positive size.
            labels: for each image [n] int64, 1 to K - 1.

        Returns:
            `classification` and `bbox_regression`, scalars.
        """
        logits, offsets = head_outputs["cls_logits"].float(), head_outputs["bbox_regression"].float()
        padded_boxes, padded_labels, valid = _pad(boxes, labels, logits.device)
        matched = match_anchors(
            padded_boxes, valid, box_convert(anchors, "cxcywh", "xyxy"), iou_threshold=self.iou_threshold
        )
        positive = matched >= 0  # [B, N]
        num_positive = positive.sum(dim=1)  # [B]
        # Without gradients there is nothing to average, and in validation not every process may come here as often
        total = num_positive.sum()
        normaliser = (_mean_over_processes(total) if torch.is_grad_enabled() else total.float()).clamp(min=1)

        image, anchor = positive.nonzero(as_tuple=True)  # [P] each
        chosen = matched[image, anchor]
        wanted = box_convert(padded_boxes[image, chosen], "xyxy", "cxcywh")
        box_loss = F.smooth_l1_loss(
            offsets[image, anchor], self.box_coder.encode(wanted, anchors[anchor]), reduction="sum"
        )

        classes = torch.zeros_like(matched)  # background
        classes[image, anchor] = padded_labels[image, chosen]
        losses = F.cross_entropy(logits.flatten(0, 1), classes.flatten(), reduction="none").view_as(classes)
        counted = positive | self._hard_negatives(losses.detach(), positive, num_positive)
        return {
            "bbox_regression": box_loss / normaliser,
            "classification": (losses * counted).sum() / normaliser,
        }

    def _hard_negatives(self, losses: Tensor, positive: Tensor, num_positive: Tensor) -> Tensor:
        """[B, N] bool: in each image, the background anchors with the largest losses."""
        order = losses.masked_fill(positive, -torch.inf).argsort(dim=1, descending=True, stable=True)
        rank = torch.empty_like(order)
        rank.scatter_(1, order, torch.arange(order.shape[1], device=order.device).expand_as(order))
        return (rank < (self.negative_ratio * num_positive)[:, None]) & ~positive


def _pad(boxes: Sequence[Tensor], labels: Sequence[Tensor], device: torch.device) -> tuple[Tensor, Tensor, Tensor]:
    """Boxes [B, T, 4], labels [B, T] and which of them are no padding [B, T]."""
    counts = torch.tensor([len(image) for image in boxes], device=device)
    valid = torch.arange(int(counts.max()), device=device) < counts[:, None]
    padded_boxes = torch.zeros(*valid.shape, 4, device=device)
    padded_labels = torch.zeros(valid.shape, dtype=torch.int64, device=device)
    padded_boxes[valid] = torch.cat(list(boxes)).to(padded_boxes)
    padded_labels[valid] = torch.cat(list(labels)).to(padded_labels)
    return padded_boxes, padded_labels, valid


def _mean_over_processes(count: Tensor) -> Tensor:
    if not (dist.is_available() and dist.is_initialized()):
        return count.float()
    total = count.float()
    dist.all_reduce(total)
    return total / dist.get_world_size()
