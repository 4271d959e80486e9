"""Key names of transformers' `MobileViT*` and `MobileViTV2*` models, releases 4.20 (4.30 for v2) and later.

Its v1 files are Apple's and expect BGR images; its image processor flips the channels. Its v2 files hold Apple's v2
weights unchanged, which were trained on RGB images, although the same image processor flips there, too.
"""

from functools import partial

from mvdet.checkpoints.formats.key_format import KeyFormat, Row, conv_norm

_conv_norm = partial(conv_norm, names=("convolution", "normalization"))
_LAYER = "encoder.layer.{t}"
_INNER = f"{_LAYER}.transformer.layer.{{i}}"
_RESIDUAL = (("expand", "expand_1x1"), ("depthwise", "conv_3x3"), ("project", "reduce_1x1"))


def _stage_rows() -> tuple[Row, ...]:
    """Stages at strides 2 and 4 count their inverted residuals; the others have one, and then the MobileViT block."""
    rows: list[Row] = []
    for ours, theirs in _RESIDUAL:
        for s in (0, 1):
            rows += _conv_norm(f"backbone.stages.{s}.{{b}}.{ours}", f"encoder.layer.{s}.layer.{{b}}.{theirs}")
        for s in (2, 3, 4):
            rows += _conv_norm(f"backbone.stages.{s}.0.{ours}", f"encoder.layer.{s}.downsampling_layer.{theirs}")
    return tuple(rows)


def _block(name: str) -> str:
    return f"backbone.stages.{{t}}.1.{name}"


def _layer(name: str) -> str:
    return f"backbone.stages.{{t}}.1.transformer.{{i}}.{name}"


TRANSFORMERS = KeyFormat(
    name="transformers",
    signature=r"(mobilevit(v2)?\.)?(conv_stem|encoder\.layer\.\d.*)\.convolution\.weight$",
    aliases=((r"^mobilevit(v2)?\.", ""),),
    prefixes={
        (task, version): "mobilevit." if version == 1 else "mobilevitv2."
        for task in ("backbone", "classification", "segmentation")
        for version in (1, 2)
    },
    bgr_versions=frozenset({1}),
    rows=(
        *_conv_norm("backbone.stem", "conv_stem"),
        *_conv_norm("backbone.expand", "conv_1x1_exp"),
        # MobileViT block
        *_conv_norm(_block("local_conv"), f"{_LAYER}.conv_kxk"),
        Row(_block("local_proj"), f"{_LAYER}.conv_1x1.convolution"),
        *_conv_norm(_block("project"), f"{_LAYER}.conv_projection"),
        *_conv_norm(_block("fusion"), f"{_LAYER}.fusion", 1),
        Row(_block("norm"), f"{_LAYER}.layernorm"),
        # transformer layers
        Row(_layer("norm1"), f"{_INNER}.layernorm_before"),
        Row(_layer("norm2"), f"{_INNER}.layernorm_after"),
        Row(_layer("attn.qkv"), tuple(f"{_INNER}.attention.attention.{n}" for n in ("query", "key", "value")), 1),
        Row(_layer("attn.proj"), f"{_INNER}.attention.output.dense", 1),
        Row(_layer("ffn.0"), f"{_INNER}.intermediate.dense", 1),
        Row(_layer("ffn.2"), f"{_INNER}.output.dense", 1),
        Row(_layer("attn.qkv"), f"{_INNER}.attention.qkv_proj.convolution", 2),
        Row(_layer("attn.proj"), f"{_INNER}.attention.out_proj.convolution", 2),
        Row(_layer("ffn.0"), f"{_INNER}.ffn.conv1.convolution", 2),
        Row(_layer("ffn.2"), f"{_INNER}.ffn.conv2.convolution", 2),
        *_stage_rows(),
        # heads
        Row("head", "classifier"),
        *_conv_norm("head.aspp.branches.{i}", "segmentation_head.aspp.convs.{i}"),
        *_conv_norm("head.aspp.image_pool", "segmentation_head.aspp.convs.4.conv_1x1"),
        *_conv_norm("head.aspp.project", "segmentation_head.aspp.project"),
        Row("head.classifier", "segmentation_head.classifier.convolution"),
    ),
)
