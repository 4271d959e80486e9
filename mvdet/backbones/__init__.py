"""MobileViT and MobileViTv2 backbones: the architecture as data, its blocks, and the feature-pyramid contract."""

from mvdet.backbones.pyramid import MobileViTBackbone
from mvdet.backbones.variants import VARIANTS, StageSpec, VariantSpec, list_backbones

__all__ = ["VARIANTS", "MobileViTBackbone", "StageSpec", "VariantSpec", "list_backbones"]
