"""The DeepLabV3 head (arXiv:1706.05587, section 3.3) as MobileViT was published with it, and its auxiliary head.

Layers, channels and dropout are those of ml-cvnets, `cvnets/modules/aspp_block.py` and
`cvnets/models/segmentation/heads/`, at its newest release.
"""

from collections.abc import Sequence
from typing import Self

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from mvdet.backbones.fusing import fuse
from mvdet.backbones.layers import ConvNormAct

ASPP_CHANNELS = {1: 256, 2: 512}
"""Width of the published heads, by MobileViT version."""
ATROUS_RATES = (6, 12, 18)  # of the published weights
NUM_ATROUS = 3
DROPOUT = 0.1  # probability that a whole channel is dropped, in both heads
AUX_MIN_CHANNELS = 128
PUBLISHED_AUX_LOSS = 0.4
"""Weight of the auxiliary head's loss (ml-cvnets, config/segmentation/pascal_voc/deeplabv3_mobilevitv2.yaml)."""


class ASPP(nn.Module):
    """Atrous spatial pyramid pooling: [B, in_channels, H, W] -> [B, out_channels, H, W].

    A 1x1 convolution, three atrous 3x3 ones and the image's mean, side by side; a 1x1 convolution over all five. Each
    has batch normalisation and a ReLU.

    Args:
        in_channels: input channels.
        out_channels: channels of every branch and of the output.
        atrous_rates: dilations of the three 3x3 convolutions.
        dropout: probability that an output channel is dropped in training.

    Raises:
        ValueError: unless there are three rates of at least 1, and a channel or more.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        *,
        atrous_rates: Sequence[int] = ATROUS_RATES,
        dropout: float = DROPOUT,
    ) -> None:
        super().__init__()
        if len(atrous_rates) != NUM_ATROUS or min(atrous_rates) < 1:
            raise ValueError(f"atrous_rates must be {NUM_ATROUS} whole numbers of at least 1, got {atrous_rates!r}")
        if out_channels < 1:
            raise ValueError(f"out_channels must be at least 1, got {out_channels}")
        self.branches = nn.ModuleList([ConvNormAct(in_channels, out_channels, 1, act=nn.ReLU)])
        self.branches.extend(
            ConvNormAct(in_channels, out_channels, 3, dilation=rate, act=nn.ReLU) for rate in atrous_rates
        )
        self.image_pool = ConvNormAct(in_channels, out_channels, 1, act=nn.ReLU)
        self.project = ConvNormAct((len(self.branches) + 1) * out_channels, out_channels, 1, act=nn.ReLU)
        self.dropout = nn.Dropout2d(dropout)

    def forward(self, x: Tensor) -> Tensor:
        """[B, in_channels, H, W] -> [B, out_channels, H, W].

        Raises:
            ValueError: for a single image in training mode, which leaves the pooled branch's batch normalisation one
                value a channel. Synchronised over processes, each may have a single one.
        """
        norm = self.image_pool.norm
        if norm.training and isinstance(norm, nn.BatchNorm2d) and x.shape[0] == 1:
            raise ValueError(
                "training needs two images at least in a batch, got 1: the image pooling branch normalises over the "
                "batch alone; drop an incomplete last batch (drop_last), synchronise the batch normalisation over "
                "processes, or put head.aspp.image_pool into evaluation mode"
            )
        pooled = self.image_pool(x.mean(dim=(-2, -1), keepdim=True))
        # Bilinear upsampling from 1x1, which the paper does, is a repetition.
        maps = [*(branch(x) for branch in self.branches), pooled.expand(-1, -1, *x.shape[-2:])]
        projected: Tensor = self.dropout(self.project(torch.cat(maps, dim=1)))
        return projected


class DeepLabV3Head(nn.Module):
    """ASPP and a 1x1 classifier: [B, in_channels, H, W] -> logits [B, num_classes, H, W].

    Args:
        in_channels: channels of the backbone's deepest map.
        num_classes: classes; a background, where there is one, is a class.
        aspp_channels: channels of `ASPP`.
        atrous_rates: see `ASPP`.
        dropout: see `ASPP`.

    Raises:
        ValueError: if `num_classes` is below 1, or `ASPP` refuses its arguments.
    """

    def __init__(
        self,
        in_channels: int,
        num_classes: int,
        *,
        aspp_channels: int = 256,
        atrous_rates: Sequence[int] = ATROUS_RATES,
        dropout: float = DROPOUT,
    ) -> None:
        super().__init__()
        _check_classes(num_classes)
        self.aspp = ASPP(in_channels, aspp_channels, atrous_rates=atrous_rates, dropout=dropout)
        self.classifier = nn.Conv2d(aspp_channels, num_classes, 1)
        self.to(memory_format=torch.channels_last)

    def forward(self, x: Tensor) -> Tensor:
        """[B, in_channels, H, W] -> logits [B, num_classes, H, W].

        Raises:
            ValueError: for a single image in training mode, as `ASPP`.
        """
        logits: Tensor = self.classifier(self.aspp(x))
        return logits

    def fuse(self) -> Self:
        """Fold batch normalisation into the convolutions, in place, for inference; returns the head."""
        fuse(self)
        return self


class AuxiliaryHead(nn.Module):
    """3x3 convolution with norm and ReLU to a quarter of the channels (128 at least), dropout, 1x1 classifier.

    [B, in_channels, H, W] -> logits [B, num_classes, H, W]. It reads the map before the deepest one; its loss, with a
    smaller weight, gives that map's layers a shorter way to the targets.

    Args:
        in_channels: channels of the map.
        num_classes: as the main head's.
        dropout: probability that a channel is dropped in training.

    Raises:
        ValueError: if `num_classes` is below 1.
    """

    def __init__(self, in_channels: int, num_classes: int, *, dropout: float = DROPOUT) -> None:
        super().__init__()
        _check_classes(num_classes)
        channels = max(in_channels // 4, AUX_MIN_CHANNELS)
        self.project = ConvNormAct(in_channels, channels, 3, act=nn.ReLU)
        self.dropout = nn.Dropout2d(dropout)
        self.classifier = nn.Conv2d(channels, num_classes, 1)
        self.to(memory_format=torch.channels_last)

    def forward(self, x: Tensor) -> Tensor:
        """[B, in_channels, H, W] -> logits [B, num_classes, H, W]."""
        logits: Tensor = self.classifier(self.dropout(self.project(x)))
        return logits

    def fuse(self) -> Self:
        """Fold batch normalisation into the convolution, in place, for inference; returns the head."""
        fuse(self)
        return self


def pixel_cross_entropy(logits: Tensor, masks: Tensor, *, ignore_index: int = 255) -> Tensor:
    """Cross-entropy, averaged over the pixels that count; 0 where none does, with a gradient of 0.

    Args:
        logits: [B, classes, H, W].
        masks: [B, H, W] int64, the class of each pixel, `ignore_index` where it does not count.
        ignore_index: 255 in the masks of PASCAL VOC.

    Returns:
        A float32 scalar.
    """
    total = F.cross_entropy(logits.float(), masks, ignore_index=ignore_index, reduction="sum")
    return total / (masks != ignore_index).sum().clamp(min=1)


def _check_classes(num_classes: int) -> None:
    if num_classes < 1:
        raise ValueError(f"num_classes must be at least 1, got {num_classes}")
