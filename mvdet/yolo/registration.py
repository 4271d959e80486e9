"""Makes `MobileViT` a module of ultralytics' model definitions."""

import torch
from ultralytics.nn import tasks

from mvdet.backbones import layers, mobilevit_block, mobilevitv2_block, pyramid, variants
from mvdet.yolo.modules import MobileViT
from mvdet.yolo.patches import PATCHES

# Every class of ours that a checkpoint can hold.
CHECKPOINT_CLASSES = (
    MobileViT,
    pyramid.MobileViTBackbone,
    variants.VariantSpec,
    variants.StageSpec,
    layers.BatchNorm2d,
    layers.ConvNormAct,
    layers.InvertedResidual,
    layers.SiLU,
    mobilevit_block.Attention,
    mobilevit_block.MobileViTBlock,
    mobilevit_block.TransformerLayer,
    mobilevitv2_block.LinearAttention,
    mobilevitv2_block.LinearTransformerLayer,
    mobilevitv2_block.MobileViTv2Block,
)


def register() -> None:
    """Register mvdet with ultralytics in this process; calling it again changes nothing.

    Installing mvdet does this in every process, by itself. It puts `MobileViT` among the modules that a model
    definition may name, applies `mvdet.yolo.patches.PATCHES`, and allows mvdet's classes in checkpoints that are loaded
    with `weights_only=True` (`ULTRALYTICS_SAFE_LOAD=1`).
    """
    torch.serialization.add_safe_globals(list(CHECKPOINT_CLASSES))
    for patch in PATCHES:
        patch.apply()
    setattr(tasks, MobileViT.__name__, MobileViT)
