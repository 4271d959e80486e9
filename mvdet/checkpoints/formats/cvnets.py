"""Key names of Apple's ml-cvnets, every release: they have not changed since 0.1.

Read off the state dicts that its networks write. The v1 networks of release 0.1, the published ones, were trained on
BGR images (OpenCV's order), everything since on RGB ones. A file does not say which: v1 files are taken for BGR.
"""

from functools import partial

from mvdet.checkpoints.formats.key_format import KeyFormat, Row, conv_norm

_conv_norm = partial(conv_norm, names=("conv", "norm"))
_STAGE, _LAYER = "backbone.stages.{s}.{b}", "layer_{layer}.{b}"
_BLOCK, _INNER = "backbone.stages.{t}.1", "layer_{layer}.1"
_TRANSFORMER, _GLOBAL = f"{_BLOCK}.transformer.{{i}}", f"{_INNER}.global_rep.{{i}}"

_BACKBONE = (
    *_conv_norm("backbone.stem", "conv_1.block"),
    *_conv_norm("backbone.expand", "conv_1x1_exp.block"),
    # MobileViT block: v1 names its layers, v2 counts them
    *_conv_norm(f"{_BLOCK}.local_conv", f"{_INNER}.local_rep.conv_3x3.block", 1),
    *_conv_norm(f"{_BLOCK}.local_conv", f"{_INNER}.local_rep.0.block", 2),
    Row(f"{_BLOCK}.local_proj", f"{_INNER}.local_rep.conv_1x1.block.conv", 1),
    Row(f"{_BLOCK}.local_proj", f"{_INNER}.local_rep.1.block.conv", 2),
    *_conv_norm(f"{_BLOCK}.project", f"{_INNER}.conv_proj.block"),
    *_conv_norm(f"{_BLOCK}.fusion", f"{_INNER}.fusion.block", 1),
    # the one entry of global_rep that is not a transformer layer is the norm after them
    Row(f"{_BLOCK}.norm", f"{_INNER}.global_rep.{{depth}}"),
    Row(f"{_TRANSFORMER}.norm1", f"{_GLOBAL}.pre_norm_mha.0", 1),
    Row(f"{_TRANSFORMER}.attn.qkv", f"{_GLOBAL}.pre_norm_mha.1.qkv_proj", 1),
    Row(f"{_TRANSFORMER}.attn.proj", f"{_GLOBAL}.pre_norm_mha.1.out_proj", 1),
    Row(f"{_TRANSFORMER}.norm2", f"{_GLOBAL}.pre_norm_ffn.0"),
    Row(f"{_TRANSFORMER}.ffn.0", f"{_GLOBAL}.pre_norm_ffn.1", 1),
    Row(f"{_TRANSFORMER}.ffn.2", f"{_GLOBAL}.pre_norm_ffn.4", 1),
    Row(f"{_TRANSFORMER}.norm1", f"{_GLOBAL}.pre_norm_attn.0", 2),
    Row(f"{_TRANSFORMER}.attn.qkv", f"{_GLOBAL}.pre_norm_attn.1.qkv_proj.block.conv", 2),
    Row(f"{_TRANSFORMER}.attn.proj", f"{_GLOBAL}.pre_norm_attn.1.out_proj.block.conv", 2),
    Row(f"{_TRANSFORMER}.ffn.0", f"{_GLOBAL}.pre_norm_ffn.1.block.conv", 2),
    Row(f"{_TRANSFORMER}.ffn.2", f"{_GLOBAL}.pre_norm_ffn.3.block.conv", 2),
    # inverted residual
    *_conv_norm(f"{_STAGE}.expand", f"{_LAYER}.block.exp_1x1.block"),
    *_conv_norm(f"{_STAGE}.depthwise", f"{_LAYER}.block.conv_3x3.block"),
    *_conv_norm(f"{_STAGE}.project", f"{_LAYER}.block.red_1x1.block"),
)

_CLASSIFIER = (Row("head", "classifier.fc", 1), Row("head", "classifier.1", 2))

_SSDLITE = (
    # the levels at strides 64, 128 and 256
    *(
        row
        for level, stride in enumerate((64, 128, 256))
        for ours, theirs in (("depthwise", "dw_conv"), ("pointwise", "pw_conv"))
        for row in _conv_norm(f"head.extras.{level}.{ours}", f"extra_layers.os_{stride}.{theirs}.block")
    ),
    Row("head.pool_projection", "extra_layers.os_-1.1.block.conv"),
    *_conv_norm("head.projections.{i}", "ssd_heads.{i}.proj_layer.block"),
    *_conv_norm("head.predictors.{i}.depthwise", "ssd_heads.{i}.loc_cls_layer.dw_conv.block"),
    Row("head.predictors.{i}.pointwise", "ssd_heads.{i}.loc_cls_layer.pw_conv.block.conv"),
    Row("head.predictors.{i}", "ssd_heads.{i}.loc_cls_layer.block.conv"),
)

_DEEPLABV3 = (
    *_conv_norm("head.aspp.branches.{i}", "seg_head.aspp.aspp_layer.convs.{i}.block"),
    *_conv_norm("head.aspp.image_pool", "seg_head.aspp.aspp_layer.convs.4.aspp_pool.conv_1x1.block"),
    *_conv_norm("head.aspp.project", "seg_head.aspp.aspp_layer.project.block"),
    Row("head.classifier", "seg_head.classifier.block.conv"),
    *_conv_norm("aux_head.project", "seg_head.aux_head.0.block"),
    Row("aux_head.classifier", "seg_head.aux_head.2.block.conv"),
)

CVNETS = KeyFormat(
    name="cvnets",
    signature=r"(encoder\.)?(conv_1|layer_\d\.\d\..*)\.block\.conv\.weight$",
    rows=(*_BACKBONE, *_CLASSIFIER, *_SSDLITE, *_DEEPLABV3),
    aliases=((r"^encoder\.", ""),),
    # Detection and segmentation files hold the network as their encoder.
    prefixes={(task, version): "encoder." for task in ("detection", "segmentation") for version in (1, 2)},
    bgr_versions=frozenset({1}),
)
