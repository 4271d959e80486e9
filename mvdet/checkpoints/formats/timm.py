"""Key names of timm's `mobilevit_*` and `mobilevitv2_*`, releases 0.6 and later. All of them expect RGB images."""

from functools import partial

from mvdet.checkpoints.formats.key_format import KeyFormat, Row, conv_norm

_conv_norm = partial(conv_norm, names=("conv", "bn"))
_STAGE, _THEIRS = "backbone.stages.{s}.{b}", "stages.{s}.{b}"
_BLOCK, _INNER = "backbone.stages.{t}.1", "stages.{t}.1"
_TRANSFORMER, _LAYER = f"{_BLOCK}.transformer.{{i}}", f"{_INNER}.transformer.{{i}}"

TIMM = KeyFormat(
    name="timm",
    signature=r"stages[._]\d+\.\d+\.conv(1_1x1|2_kxk|_kxk)\.conv\.weight$",
    aliases=((r"^stages_", "stages."),),  # features_only=True
    rows=(
        *_conv_norm("backbone.stem", "stem"),
        *_conv_norm("backbone.expand", "final_conv"),
        Row("head", "head.fc"),
        # MobileViT block
        *_conv_norm(f"{_BLOCK}.local_conv", f"{_INNER}.conv_kxk"),
        Row(f"{_BLOCK}.local_proj", f"{_INNER}.conv_1x1"),
        *_conv_norm(f"{_BLOCK}.project", f"{_INNER}.conv_proj"),
        *_conv_norm(f"{_BLOCK}.fusion", f"{_INNER}.conv_fusion", 1),
        Row(f"{_BLOCK}.norm", f"{_INNER}.norm"),
        # transformer layers
        Row(f"{_TRANSFORMER}.norm1", f"{_LAYER}.norm1"),
        Row(f"{_TRANSFORMER}.attn.qkv", f"{_LAYER}.attn.qkv", 1),
        Row(f"{_TRANSFORMER}.attn.proj", f"{_LAYER}.attn.proj", 1),
        Row(f"{_TRANSFORMER}.attn.qkv", f"{_LAYER}.attn.qkv_proj", 2),
        Row(f"{_TRANSFORMER}.attn.proj", f"{_LAYER}.attn.out_proj", 2),
        Row(f"{_TRANSFORMER}.norm2", f"{_LAYER}.norm2"),
        Row(f"{_TRANSFORMER}.ffn.0", f"{_LAYER}.mlp.fc1"),
        Row(f"{_TRANSFORMER}.ffn.2", f"{_LAYER}.mlp.fc2"),
        # inverted residual
        *_conv_norm(f"{_STAGE}.expand", f"{_THEIRS}.conv1_1x1"),
        *_conv_norm(f"{_STAGE}.depthwise", f"{_THEIRS}.conv2_kxk"),
        *_conv_norm(f"{_STAGE}.project", f"{_THEIRS}.conv3_1x1"),
    ),
)
