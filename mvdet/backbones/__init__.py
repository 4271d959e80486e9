"""MobileViT and MobileViTv2 backbones: the architecture as data, its blocks, and the feature-pyramid contract."""

from mvdet.backbones.pyramid import MobileViTBackbone
from mvdet.backbones.registry import create_backbone, list_backbones
from mvdet.backbones.variants import VARIANTS, StageSpec, VariantSpec

__all__ = ["VARIANTS", "MobileViTBackbone", "StageSpec", "VariantSpec", "create_backbone", "list_backbones"]
