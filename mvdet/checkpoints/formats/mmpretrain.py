"""Key names of OpenMMLab's MobileViT: mmpretrain's, and mmcls' before it. There is no v2 of it.

Its published files are Apple's v1 weights: they expect BGR images, divided by 255, and its configurations subtract no
mean (`mean=[0, 0, 0], std=[255, 255, 255], to_rgb=False`).
"""

from functools import partial

from mvdet.checkpoints.formats.key_format import KeyFormat, Row, conv_norm

_conv_norm = partial(conv_norm, names=("conv", "bn"))
_STAGE, _THEIRS = "backbone.stages.{s}.{b}", "layers.{s}.{b}"
_BLOCK, _INNER = "backbone.stages.{t}.1", "layers.{t}.1"
_TRANSFORMER, _GLOBAL = f"{_BLOCK}.transformer.{{i}}", f"{_INNER}.global_rep.{{i}}"

MMPRETRAIN = KeyFormat(
    name="mmpretrain",
    signature=r"(backbone\.)?layers\.\d\.\d\.(conv|local_rep)\.\d\.conv\.weight$",
    aliases=((r"^backbone\.", ""),),
    prefixes={(task, 1): "backbone." for task in ("backbone", "classification")},
    versions=frozenset({1}),
    bgr_versions=frozenset({1}),
    rows=(
        *_conv_norm("backbone.stem", "stem"),
        *_conv_norm("backbone.expand", "conv_1x1_exp"),
        Row("head", "head.fc"),
        # MobileViT block
        *_conv_norm(f"{_BLOCK}.local_conv", f"{_INNER}.local_rep.0"),
        Row(f"{_BLOCK}.local_proj", f"{_INNER}.local_rep.1.conv"),
        *_conv_norm(f"{_BLOCK}.project", f"{_INNER}.conv_proj"),
        *_conv_norm(f"{_BLOCK}.fusion", f"{_INNER}.conv_fusion"),
        # the one entry of global_rep that is not a transformer layer is the norm after them
        Row(f"{_BLOCK}.norm", f"{_INNER}.global_rep.{{depth}}"),
        Row(f"{_TRANSFORMER}.norm1", f"{_GLOBAL}.ln1"),
        Row(f"{_TRANSFORMER}.attn.qkv", f"{_GLOBAL}.attn.qkv"),
        Row(f"{_TRANSFORMER}.attn.proj", f"{_GLOBAL}.attn.proj"),
        Row(f"{_TRANSFORMER}.norm2", f"{_GLOBAL}.ln2"),
        Row(f"{_TRANSFORMER}.ffn.0", f"{_GLOBAL}.ffn.layers.0.0"),
        Row(f"{_TRANSFORMER}.ffn.2", f"{_GLOBAL}.ffn.layers.1"),
        # inverted residual
        *_conv_norm(f"{_STAGE}.expand", f"{_THEIRS}.conv.0"),
        *_conv_norm(f"{_STAGE}.depthwise", f"{_THEIRS}.conv.1"),
        *_conv_norm(f"{_STAGE}.project", f"{_THEIRS}.conv.2"),
    ),
)
