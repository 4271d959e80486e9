"""Every MobileViT variant as data.

Sources: MobileViT (Mehta & Rastegari, ICLR 2022, arXiv:2110.02178), table 4; MobileViTv2 (Mehta & Rastegari, 2022,
arXiv:2206.02680), table 6. Parameter counts of both tables are reproduced exactly by the networks built from them.
"""

from dataclasses import dataclass
from typing import Literal

from mvdet.wording import unknown_name_message


@dataclass(frozen=True)
class StageSpec:
    """One resolution level: inverted residuals, the first with `stride`, then an optional transformer block.

    Attributes:
        out_channels: channels of the level's map.
        stride: stride of the level's first inverted residual, 1 or 2.
        num_residuals: inverted residuals in the level.
        attention_dim: width of the transformer, 0 for a level without one.
        depth: transformer layers.
    """

    out_channels: int
    stride: int
    num_residuals: int
    attention_dim: int = 0
    depth: int = 0


@dataclass(frozen=True)
class VariantSpec:
    """One network.

    Attributes:
        version: 1 (MobileViT: multi-head attention) or 2 (MobileViTv2: separable linear attention).
        stem_channels: channels after the strided 3x3 stem convolution.
        stages: the five levels at strides 2, 4, 8, 16 and 32.
        expand_ratio: hidden width of the inverted residuals relative to their input.
        expand_channels: channels of v1's final 1x1 expansion, 0 where there is none.
        num_params: parameters of the ImageNet classifier (1000 classes), for checks and tables.
        num_heads: attention heads, v1 only.
        ffn_ratio: hidden width of the feed-forward network relative to the transformer's width.
        classifier_dropout: dropout before the classifier in the published training configuration.
    """

    version: Literal[1, 2]
    stem_channels: int
    stages: tuple[StageSpec, StageSpec, StageSpec, StageSpec, StageSpec]
    expand_ratio: int
    expand_channels: int
    num_params: int
    num_heads: int = 4
    ffn_ratio: int = 2
    classifier_dropout: float = 0.0


TRANSFORMER_DEPTHS = (2, 4, 3)  # transformer layers at strides 8, 16 and 32, both versions


def _v1(channels: tuple[int, ...], attention_dims: tuple[int, ...], expand_ratio: int, num_params: int) -> VariantSpec:
    c2, c4, c8, c16, c32 = channels
    transformers = zip((c8, c16, c32), attention_dims, TRANSFORMER_DEPTHS, strict=True)
    levels = [StageSpec(c, 2, 1, dim, depth) for c, dim, depth in transformers]
    return VariantSpec(
        version=1,
        stem_channels=16,
        stages=(StageSpec(c2, 1, 1), StageSpec(c4, 2, 3), levels[0], levels[1], levels[2]),
        expand_ratio=expand_ratio,
        expand_channels=4 * c32,
        num_params=num_params,
        classifier_dropout=0.1,
    )


def _v2(width: float, num_params: int) -> VariantSpec:
    stem, c2, c4, c8, c16, c32 = (int(base * width) for base in (32, 64, 128, 256, 384, 512))
    levels = [StageSpec(c, 2, 1, c // 2, depth) for c, depth in zip((c8, c16, c32), TRANSFORMER_DEPTHS, strict=True)]
    return VariantSpec(
        version=2,
        stem_channels=stem,
        stages=(StageSpec(c2, 1, 1), StageSpec(c4, 2, 2), levels[0], levels[1], levels[2]),
        expand_ratio=2,
        expand_channels=0,
        num_params=num_params,
    )


VARIANTS: dict[str, VariantSpec] = {
    "mobilevit_xxs": _v1((16, 24, 48, 64, 80), (64, 80, 96), expand_ratio=2, num_params=1_272_024),
    "mobilevit_xs": _v1((32, 48, 64, 80, 96), (96, 120, 144), expand_ratio=4, num_params=2_317_848),
    "mobilevit_s": _v1((32, 64, 96, 128, 160), (144, 192, 240), expand_ratio=4, num_params=5_578_632),
    "mobilevitv2_050": _v2(0.50, num_params=1_370_593),
    "mobilevitv2_075": _v2(0.75, num_params=2_866_009),
    "mobilevitv2_100": _v2(1.00, num_params=4_901_841),
    "mobilevitv2_125": _v2(1.25, num_params=7_478_089),
    "mobilevitv2_150": _v2(1.50, num_params=10_594_753),
    "mobilevitv2_175": _v2(1.75, num_params=14_251_833),
    "mobilevitv2_200": _v2(2.00, num_params=18_449_329),
}


def list_backbones() -> list[str]:
    """Names that `create_backbone` takes, v1 before v2, small before large."""
    return list(VARIANTS)


def get_variant(name: str) -> VariantSpec:
    """The specification of a variant.

    Raises:
        ValueError: for an unknown name, with the nearest ones.
    """
    if name not in VARIANTS:
        raise ValueError(unknown_name_message("backbone", name, VARIANTS))
    return VARIANTS[name]
