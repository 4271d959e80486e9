"""The loss of segmentation networks."""

from torch import Tensor
from torch.nn import functional as F

from mvdet.data.mask_files import IGNORE_INDEX

PUBLISHED_AUX_LOSS = 0.4
"""Weight of the auxiliary head's loss (ml-cvnets, config/segmentation/pascal_voc/deeplabv3_mobilevitv2.yaml)."""


def pixel_cross_entropy(logits: Tensor, masks: Tensor) -> Tensor:
    """Mean over the pixels that count; 0 where none does.

    Args:
        logits: [B, classes, H, W].
        masks: [B, H, W] int64, 255 where a pixel does not count.
    """
    total = F.cross_entropy(logits.float(), masks, ignore_index=IGNORE_INDEX, reduction="sum")
    return total / (masks != IGNORE_INDEX).sum().clamp(min=1)
