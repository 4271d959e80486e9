"""Boxes as offsets from anchors, and back (Liu et al., 2016, arXiv:1512.02325, equation 2, with SSD's variances)."""

from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True, slots=True)
class BoxCoder:
    """Offsets of a box's centre and size from an anchor's, divided by variances that make them of ordinary size.

    All boxes are relative to the image's width and height.

    Attributes:
        center_variance: what the offsets (gx - ax) / aw and (gy - ay) / ah are divided by.
        size_variance: what the offsets log(gw / aw) and log(gh / ah) are divided by.
    """

    center_variance: float = 0.1
    size_variance: float = 0.2

    def encode(self, boxes_cxcywh: Tensor, anchors_cxcywh: Tensor) -> Tensor:
        """Boxes [..., 4] of positive size and anchors [..., 4] -> offsets [..., 4]."""
        centre, size = torch.split(boxes_cxcywh, 2, dim=-1)
        anchor_centre, anchor_size = torch.split(anchors_cxcywh, 2, dim=-1)
        return torch.cat(
            [
                (centre - anchor_centre) / (anchor_size * self.center_variance),
                torch.log(size / anchor_size) / self.size_variance,
            ],
            dim=-1,
        )

    def decode(self, offsets: Tensor, anchors_cxcywh: Tensor) -> Tensor:
        """Offsets [..., 4] and anchors [..., 4] -> boxes [..., 4] xyxy, which may leave the image."""
        offset_centre, offset_size = torch.split(offsets.float(), 2, dim=-1)  # exp overflows in half precision
        anchor_centre, anchor_size = torch.split(anchors_cxcywh, 2, dim=-1)
        centre = offset_centre * self.center_variance * anchor_size + anchor_centre
        half = torch.exp(offset_size * self.size_variance) * anchor_size / 2
        return torch.cat([centre - half, centre + half], dim=-1)
