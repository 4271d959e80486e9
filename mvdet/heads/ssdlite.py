"""The SSDLite head that MobileViT was published with (arXiv:2110.02178, section 4.2; ml-cvnets)."""

from collections.abc import Sequence
from typing import Self

import torch
from torch import Tensor, nn

from mvdet.backbones.fusing import fuse
from mvdet.backbones.layers import ConvNormAct

# Channels that the first two levels are projected to, and that the further ones have (ml-cvnets).
PROJECTION_CHANNELS = (512, 256)
EXTRA_CHANNELS = (256, 128, 128)
POOL_CHANNELS = 64
NUM_LEVELS = len(PROJECTION_CHANNELS) + len(EXTRA_CHANNELS) + 1
BOX_OFFSETS = 4
INIT_STD = 0.03  # of all convolutions, as in torchvision's `SSDLiteHead`


def level_sizes(map_sizes: Sequence[tuple[int, int]]) -> list[tuple[int, int]]:
    """Height and width of the six maps that the predictors read, from those of the backbone's two."""
    sizes = list(map_sizes)
    for _ in EXTRA_CHANNELS:
        sizes.append(((sizes[-1][0] + 1) // 2, (sizes[-1][1] + 1) // 2))
    return [*sizes, (1, 1)]


class SeparableConv(nn.Module):
    """Depthwise 3x3 convolution with norm, pointwise convolution with norm and ReLU; no activation between them.

    Args:
        in_channels: input channels.
        out_channels: output channels.
        stride: of the depthwise convolution.
    """

    def __init__(self, in_channels: int, out_channels: int, *, stride: int) -> None:
        super().__init__()
        self.depthwise = ConvNormAct(in_channels, in_channels, 3, stride=stride, groups=in_channels, act=None)
        self.pointwise = ConvNormAct(in_channels, out_channels, 1, act=nn.ReLU)

    def forward(self, x: Tensor) -> Tensor:
        """[B, in_channels, H, W] -> [B, out_channels, ceil(H / stride), ceil(W / stride)]."""
        out: Tensor = self.pointwise(self.depthwise(x))
        return out


class SeparablePredictor(nn.Module):
    """Depthwise 3x3 convolution with norm, pointwise convolution with bias.

    Args:
        in_channels: input channels.
        out_channels: output channels.
    """

    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__()
        self.depthwise = ConvNormAct(in_channels, in_channels, 3, groups=in_channels, act=None)
        self.pointwise = nn.Conv2d(in_channels, out_channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        """[B, in_channels, H, W] -> [B, out_channels, H, W]."""
        out: Tensor = self.pointwise(self.depthwise(x))
        return out


class SSDLiteHead(nn.Module):
    """Class logits and box offsets for the anchors of six levels: the backbone's two, three smaller ones, one of 1x1.

    Args:
        in_channels: channels of the backbone's maps at strides 16 and 32.
        num_classes: classes, background included, which is class 0.
        num_anchors: for each of the six levels, how many anchors a cell of its map has.

    Raises:
        ValueError: unless there are two maps, six numbers of anchors and at least two classes.
    """

    def __init__(self, in_channels: Sequence[int], num_classes: int, num_anchors: Sequence[int]) -> None:
        super().__init__()
        if len(in_channels) != len(PROJECTION_CHANNELS):
            raise ValueError(f"in_channels must be those of {len(PROJECTION_CHANNELS)} maps, got {list(in_channels)}")
        if len(num_anchors) != NUM_LEVELS:
            raise ValueError(f"num_anchors must be those of {NUM_LEVELS} levels, got {list(num_anchors)}")
        if num_classes < 2:
            raise ValueError(f"num_classes must be at least 2, background included, got {num_classes}")
        self.num_classes = num_classes
        # ml-cvnets projects only where that changes the number of channels: MobileViTv2-0.5 has 256 at stride 32.
        self.projections = nn.ModuleList(
            nn.Identity() if cin == cout else ConvNormAct(cin, cout, 1, act=nn.ReLU)
            for cin, cout in zip(in_channels, PROJECTION_CHANNELS, strict=True)
        )
        widths = [in_channels[-1], *EXTRA_CHANNELS]
        self.extras = nn.ModuleList(
            SeparableConv(cin, cout, stride=2) for cin, cout in zip(widths, EXTRA_CHANNELS, strict=False)
        )
        self.pool_projection = nn.Conv2d(EXTRA_CHANNELS[-1], POOL_CHANNELS, 1, bias=False)
        outputs = [anchors * (BOX_OFFSETS + num_classes) for anchors in num_anchors]
        channels = (*PROJECTION_CHANNELS, *EXTRA_CHANNELS)
        self.predictors = nn.ModuleList(
            [SeparablePredictor(cin, cout) for cin, cout in zip(channels, outputs, strict=False)]
        )
        self.predictors.append(nn.Conv2d(POOL_CHANNELS, outputs[-1], 1))
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.normal_(module.weight, std=INIT_STD)
                if module.bias is not None:
                    nn.init.zeros_(module.bias)
        self.to(memory_format=torch.channels_last)

    def pyramid(self, maps: Sequence[Tensor]) -> list[Tensor]:
        """The six maps that the predictors read, finest first, from the backbone's two: [B, C, H, W] each."""
        levels = [project(x) for project, x in zip(self.projections, maps, strict=True)]
        x = maps[-1]
        for extra in self.extras:
            x = extra(x)
            levels.append(x)
        # [B, C, H, W] -> [B, C, 1, 1]
        levels.append(self.pool_projection(x.mean(dim=(-2, -1), keepdim=True)).relu())
        return levels

    def forward(self, maps: Sequence[Tensor]) -> dict[str, Tensor]:
        """Two maps [B, C, H, W] -> `cls_logits` [B, N, num_classes] and `bbox_regression` [B, N, 4].

        Anchors are counted level by level, finest first, then row by row, then cell by cell, then anchor by anchor.
        """
        predictions = []
        for predictor, x in zip(self.predictors, self.pyramid(maps), strict=True):
            # [B, A * (4 + K), H, W] -> [B, H * W * A, 4 + K], a view where memory is channels_last
            predictions.append(predictor(x).permute(0, 2, 3, 1).reshape(x.shape[0], -1, BOX_OFFSETS + self.num_classes))
        offsets, logits = torch.split(torch.cat(predictions, dim=1), [BOX_OFFSETS, self.num_classes], dim=-1)
        return {"cls_logits": logits, "bbox_regression": offsets}

    def fuse(self) -> Self:
        """Fold batch normalisation into the convolutions, in place, for inference; returns the head."""
        fuse(self)
        return self
