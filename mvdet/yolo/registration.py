"""Makes `MobileViT` and the heads modules of ultralytics' model definitions, in the process that calls it."""

import os
from pkgutil import resolve_name

import torch
from ultralytics.nn import tasks
from ultralytics.utils import torch_utils

from mvdet.yolo.patches import PATCHES, apply_late_patches
from mvdet.yolo.rows import MODULES

CHECKPOINT_PATHS = (
    "mvdet.yolo.modules.MobileViT",
    "mvdet.yolo.ssdlite.SSDLiteDetect",
    "mvdet.yolo.deeplabv3.DeepLabV3SemanticSegment",
    "mvdet.backbones.variants.VariantSpec",
    "mvdet.backbones.variants.StageSpec",
    "mvdet.backbones.pyramid.MobileViTBackbone",
    "mvdet.backbones.cpu.CPUInvertedResidual",
    "mvdet.backbones.layers.BatchNorm2d",
    "mvdet.backbones.layers.Conv2d",
    "mvdet.backbones.layers.ConvNormAct",
    "mvdet.backbones.layers.InvertedResidual",
    "mvdet.backbones.layers.Linear",
    "mvdet.backbones.layers.SiLU",
    "mvdet.backbones.mobilevit_block.Attention",
    "mvdet.backbones.mobilevit_block.MobileViTBlock",
    "mvdet.backbones.mobilevit_block.TransformerLayer",
    "mvdet.backbones.mobilevitv2_block.LinearAttention",
    "mvdet.backbones.mobilevitv2_block.LinearTransformerLayer",
    "mvdet.backbones.mobilevitv2_block.MobileViTv2Block",
    "mvdet.heads.ssdlite.SSDLiteHead",
    "mvdet.heads.ssdlite.SeparableConv",
    "mvdet.heads.ssdlite.SeparablePredictor",
    "mvdet.heads.deeplabv3.ASPP",
    "mvdet.heads.deeplabv3.AuxiliaryHead",
    "mvdet.heads.deeplabv3.DeepLabV3Head",
)
"""Every class of ours that a checkpoint may hold, by the path that is written in it. None of them is ever removed: a
class that makes way for another one leaves its name to that one."""

CHECKPOINT_CLASSES = tuple(resolve_name(path) for path in CHECKPOINT_PATHS)
"""What the paths stand for today."""

SWITCH = "MVDET_NUM_THREADS"
"""Environment variable: threads of PyTorch wherever ultralytics runs on a CPU; without it, ultralytics decides."""


def register() -> None:
    """Register mvdet with ultralytics in this process; calling it again changes nothing.

    Installing mvdet does this in every process, by itself. It puts `mvdet.yolo.rows.MODULES` among those that a model
    definition may name, applies `mvdet.yolo.patches.PATCHES`, of which those of `ultralytics.engine` come with the
    first network, and allows mvdet's classes in checkpoints that are loaded with `weights_only=True`
    (`ULTRALYTICS_SAFE_LOAD=1`).

    Raises:
        ValueError: `MVDET_NUM_THREADS` is no number of threads.
    """
    # By the written path: an allowed class goes by its own name otherwise, which need not be the one in the file.
    torch.serialization.add_safe_globals(list(zip(CHECKPOINT_CLASSES, CHECKPOINT_PATHS, strict=True)))
    for patch in PATCHES:
        patch.apply()
    for name, module in MODULES.items():
        setattr(tasks, name, module)
    apply_late_patches()
    apply_threads()  # last: what is wrong with the variable is said, and all else is there


def apply_threads() -> None:
    """Have ultralytics use as many threads as `MVDET_NUM_THREADS` says, if it says anything.

    Raises:
        ValueError: the variable is no whole number of at least 1.
    """
    value = os.environ.get(SWITCH)
    if not value:
        return
    if not value.isdecimal() or int(value) < 1:
        raise ValueError(f"{SWITCH} must be a whole number of threads, 1 or more, got {value!r}")
    torch_utils.NUM_THREADS = int(value)
