"""Makes `MobileViT` and the heads modules of ultralytics' model definitions."""

import os

import torch
from ultralytics.nn import tasks
from ultralytics.utils import torch_utils

from mvdet.backbones import layers, mobilevit_block, mobilevitv2_block, pyramid, variants
from mvdet.heads import deeplabv3, ssdlite
from mvdet.yolo.deeplabv3 import DeepLabV3SemanticSegment
from mvdet.yolo.modules import MobileViT
from mvdet.yolo.patches import PATCHES, apply_late_patches
from mvdet.yolo.rows import MODULES
from mvdet.yolo.ssdlite import SSDLiteDetect

# Every class of ours that a checkpoint can hold.
CHECKPOINT_CLASSES = (
    MobileViT,
    pyramid.MobileViTBackbone,
    variants.VariantSpec,
    variants.StageSpec,
    layers.BatchNorm2d,
    layers.Conv2d,
    layers.ConvNormAct,
    layers.InvertedResidual,
    layers.Linear,
    layers.SiLU,
    mobilevit_block.Attention,
    mobilevit_block.MobileViTBlock,
    mobilevit_block.TransformerLayer,
    mobilevitv2_block.LinearAttention,
    mobilevitv2_block.LinearTransformerLayer,
    mobilevitv2_block.MobileViTv2Block,
    SSDLiteDetect,
    ssdlite.SSDLiteHead,
    ssdlite.SeparableConv,
    ssdlite.SeparablePredictor,
    DeepLabV3SemanticSegment,
    deeplabv3.ASPP,
    deeplabv3.AuxiliaryHead,
    deeplabv3.DeepLabV3Head,
)

SWITCH = "MVDET_NUM_THREADS"
"""Environment variable: threads of PyTorch wherever ultralytics runs on a CPU; without it, ultralytics decides."""


def apply_threads() -> None:
    """Have ultralytics use as many threads as the variable says.

    Raises:
        ValueError: the variable is no whole number of at least 1.
    """
    value = os.environ.get(SWITCH)
    if not value:
        return
    if not value.isdecimal() or int(value) < 1:
        raise ValueError(f"{SWITCH} must be a whole number of threads, 1 or more, got {value!r}")
    torch_utils.NUM_THREADS = int(value)


def register() -> None:
    """Register mvdet with ultralytics in this process; calling it again changes nothing.

    Installing mvdet does this in every process, by itself. It puts `mvdet.yolo.rows.MODULES` among those that a model
    definition may name, applies `mvdet.yolo.patches.PATCHES`, of which those of `ultralytics.engine` come with the
    first network, and allows mvdet's classes in checkpoints that are loaded with `weights_only=True` (`ULTRALYTICS_SAFE_LOAD=1`).

    Raises:
        ValueError: `MVDET_NUM_THREADS` is no number of threads.
    """
    torch.serialization.add_safe_globals(list(CHECKPOINT_CLASSES))
    for patch in PATCHES:
        patch.apply()
    for name, module in MODULES.items():
        setattr(tasks, name, module)
    apply_late_patches()
    apply_threads()  # last: what is wrong with the variable is said, and all else is there
