"""Backbones by name, with their weights."""

from collections.abc import Sequence

from mvdet.backbones.pyramid import MobileViTBackbone
from mvdet.backbones.variants import get_variant
from mvdet.checkpoints.weights import WeightsLike, choose_variant, load_weights


def create_backbone(
    name: str,
    *,
    out_strides: Sequence[int] = (8, 16, 32),
    output_stride: int = 32,
    in_channels: int = 3,
    expand_output: bool = False,
    weights: WeightsLike | None = None,
) -> MobileViTBackbone:
    """A MobileViT feature pyramid.

    Args:
        name: one of `list_backbones()`, or "auto" for the one that the weights (a file, a folder or a full
            published name) are of.
        out_strides: levels to return, ascending, out of 2, 4, 8, 16, 32.
        output_stride: 8, 16 or 32; smaller values dilate the deeper levels and keep their resolution.
        in_channels: channels of the images.
        expand_output: return v1's final 1x1 expansion at level 32.
        weights: "DEFAULT", "apple", "timm", "transformers" or another published name of `weights/manifest.yaml`; the
            path of a weights file or folder of any of these sources; what `mvdet.checkpoints.open_weights` returned;
            None for random weights.

    Returns:
        A module that maps images [B, in_channels, H, W], RGB in [0, 1], to a list of maps, finest first; its
        `channels`, `strides` and `size_divisibility` say what comes out.

    Raises:
        ValueError: for an unknown name, impossible strides, or weights of another network.
        FileNotFoundError: if `weights` is no name, file or folder.
        ConnectionError: if published weights must be downloaded and cannot be.
    """
    name, weights = choose_variant(name, weights)
    backbone = MobileViTBackbone(
        get_variant(name),
        out_strides=out_strides,
        output_stride=output_stride,
        in_channels=in_channels,
        expand_output=expand_output,
    )
    if weights is not None:
        load_weights(backbone, weights)
    return backbone
