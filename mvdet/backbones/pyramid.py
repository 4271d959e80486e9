"""The feature-pyramid backbone: one builder that reads a `VariantSpec`."""

from collections.abc import Sequence
from itertools import pairwise

import torch
from torch import Tensor, nn

from mvdet.backbones.fusing import fuse
from mvdet.backbones.init import init_weights
from mvdet.backbones.layers import ConvNormAct, InvertedResidual
from mvdet.backbones.layout import with_channels_last_gradient
from mvdet.backbones.mobilevit_block import MobileViTBlock
from mvdet.backbones.mobilevitv2_block import MobileViTv2Block
from mvdet.backbones.tokens import resize_to
from mvdet.backbones.variants import StageSpec, VariantSpec

LEVEL_STRIDES = (2, 4, 8, 16, 32)
OUTPUT_STRIDES = (8, 16, 32)


class MobileViTBackbone(nn.Module):
    """MobileViT v1 or v2 as a feature pyramid: `backbone(images) -> list[Tensor]`, finest first.

    Images are [B, in_channels, H, W] floating point, RGB in [0, 1], any H and W. Map i is
    [B, channels[i], ceil(H / strides[i]), ceil(W / strides[i])], in channels_last memory. Levels deeper than the last
    one asked for are not built.

    Args:
        spec: the network.
        out_strides: levels to return, a non-empty subset of 2, 4, 8, 16, 32 in ascending order. They name the levels of
            the undilated network.
        output_stride: 8, 16 or 32; levels beyond it keep its resolution and are dilated instead, so that `strides`
            repeats it.
        in_channels: channels of the images.
        expand_output: return v1's final 1x1 expansion in place of the map at level 32.

    Attributes:
        channels: channels of each map.
        strides: stride of each map.
        size_divisibility: image sides that are multiples of it make every map exactly side / stride.

    Raises:
        ValueError: for strides, channels or an expansion that the network does not have.
    """

    def __init__(
        self,
        spec: VariantSpec,
        *,
        out_strides: Sequence[int] = (8, 16, 32),
        output_stride: int = 32,
        in_channels: int = 3,
        expand_output: bool = False,
    ) -> None:
        super().__init__()
        out_strides = tuple(out_strides) if isinstance(out_strides, Sequence) else (out_strides,)
        _check_arguments(spec, out_strides, output_stride, in_channels, expand_output)
        self.spec = spec
        self.in_channels = in_channels
        self.out_levels = tuple(LEVEL_STRIDES.index(stride) for stride in out_strides)
        self.level_strides = tuple(min(stride, output_stride) for stride in LEVEL_STRIDES)
        self.strides = tuple(self.level_strides[level] for level in self.out_levels)
        self.size_divisibility = self.level_strides[self.out_levels[-1]]

        self.stem = ConvNormAct(in_channels, spec.stem_channels, 3, stride=2)
        self.stages = nn.ModuleList()
        channels, dilation = spec.stem_channels, 1
        for level, stage in enumerate(spec.stages[: self.out_levels[-1] + 1]):
            dilated = LEVEL_STRIDES[level] > output_stride
            self.stages.append(_build_stage(spec, stage, channels, dilation=dilation, dilated=dilated))
            channels = stage.out_channels
            dilation *= 2 if dilated else 1
        stage_channels = [stage.out_channels for stage in spec.stages]
        if expand_output:
            self.expand: ConvNormAct | None = ConvNormAct(channels, spec.expand_channels, 1)
            stage_channels[-1] = spec.expand_channels
        else:
            self.expand = None
        self.channels = tuple(stage_channels[level] for level in self.out_levels)

        init_weights(self)
        self.to(memory_format=torch.channels_last)

    def forward(self, images: Tensor) -> list[Tensor]:
        """[B, in_channels, H, W] -> one [B, channels[i], ceil(H / strides[i]), ceil(W / strides[i])] a level.

        Raises:
            ValueError: if `images` is not a batch of images with `in_channels` channels.
            TypeError: if `images` is not floating point.
        """
        trunk = self.forward_trunk(images)
        height, width = images.shape[-2:]
        if self.spec.version == 1:
            return trunk
        return [
            resize_to(x, (height + s - 1) // s, (width + s - 1) // s, align_corners=True)
            for x, s in zip(trunk, self.strides, strict=True)
        ]

    def forward_last(self, images: Tensor) -> Tensor:
        """The deepest map alone, as the network itself goes on with it: v2's has odd sizes rounded up to even."""
        return self.forward_trunk(images)[-1]

    def forward_trunk(self, images: Tensor) -> list[Tensor]:
        """The maps as the network itself goes on with them, for heads that do as the published ones: v2's are even.

        As `forward`, but on MobileViTv2 the sizes of maps from stride 8 on are rounded up to even ones.

        Raises:
            ValueError: if `images` is not a batch of images with `in_channels` channels.
            TypeError: if `images` is not floating point.
        """
        if images.dim() != 4 or images.shape[1] != self.in_channels:
            raise ValueError(f"images must be [B, {self.in_channels}, H, W], got {list(images.shape)}")
        if not images.is_floating_point():
            raise TypeError(f"images must be floating point in [0, 1], got {images.dtype}")
        x = self.stem(images.contiguous(memory_format=torch.channels_last))
        maps = []
        for level, stage in enumerate(self.stages):
            x = stage(x)
            if level in self.out_levels:
                maps.append(with_channels_last_gradient(x))
        if self.expand is not None:
            maps[-1] = with_channels_last_gradient(self.expand(x))
        return maps

    def fuse(self) -> "MobileViTBackbone":
        """Fold every batch normalisation into its convolution, in place, for inference; returns the backbone.

        The running statistics are used whatever the mode. A fused backbone can be exported and run, not trained on:
        its normalisation is gone. Fusing twice changes nothing.
        """
        fuse(self)
        return self


def _build_stage(
    spec: VariantSpec, stage: StageSpec, in_channels: int, *, dilation: int, dilated: bool
) -> nn.Sequential:
    """One level. A dilated level keeps its input's resolution and the dilation that its depth had before it."""
    widths = [in_channels, *[stage.out_channels] * stage.num_residuals]
    blocks: list[nn.Module] = [
        InvertedResidual(
            cin,
            cout,
            stride=stage.stride if index == 0 and not dilated else 1,
            expand_ratio=spec.expand_ratio,
            dilation=dilation,
        )
        for index, (cin, cout) in enumerate(pairwise(widths))
    ]
    if stage.depth:
        shape = {"attention_dim": stage.attention_dim, "depth": stage.depth, "ffn_ratio": spec.ffn_ratio}
        if spec.version == 1:
            # The published v1 weights were trained without dilation inside the block, v2's with it.
            blocks.append(MobileViTBlock(stage.out_channels, num_heads=spec.num_heads, **shape))
        else:
            inner_dilation = dilation * 2 if dilated else dilation
            blocks.append(MobileViTv2Block(stage.out_channels, dilation=inner_dilation, **shape))
    return nn.Sequential(*blocks)


def _check_arguments(
    spec: VariantSpec, out_strides: tuple[int, ...], output_stride: int, in_channels: int, expand_output: bool
) -> None:
    if not out_strides or any(stride not in LEVEL_STRIDES for stride in out_strides):
        raise ValueError(f"out_strides must be a non-empty subset of {LEVEL_STRIDES}, got {out_strides}")
    if list(out_strides) != sorted(set(out_strides)):
        raise ValueError(f"out_strides must be ascending and without repeats, got {out_strides}")
    if output_stride not in OUTPUT_STRIDES:
        raise ValueError(f"output_stride must be one of {OUTPUT_STRIDES}, got {output_stride!r}")
    if not isinstance(in_channels, int) or isinstance(in_channels, bool) or in_channels < 1:
        raise ValueError(f"in_channels must be a positive integer, got {in_channels!r}")
    if not isinstance(expand_output, bool):
        raise ValueError(f"expand_output must be true or false, got {expand_output!r}")
    if expand_output and not spec.expand_channels:
        raise ValueError("expand_output=True needs a MobileViT v1 variant: v2 has no final expansion")
    if expand_output and out_strides[-1] != LEVEL_STRIDES[-1]:
        raise ValueError(f"expand_output=True needs level {LEVEL_STRIDES[-1]} in out_strides, got {out_strides}")
