"""Key names of timm's `mobilevit_*` and `mobilevitv2_*`, releases 0.6 and later. All of them expect RGB images."""

from mvdet.checkpoints.key_format import KeyFormat

TIMM = KeyFormat(
    name="timm",
    signatures=("stages.0.0.conv1_1x1.conv.weight",),
    table=(
        (r"^stem\.", "backbone.stem."),
        (r"^stages\.", "backbone.stages."),
        (r"^final_conv\.", "backbone.expand."),
        (r"^head\.fc\.", "head."),
        (r"\.bn\.", ".norm."),
        # inverted residual
        (r"\.conv1_1x1\.", ".expand."),
        (r"\.conv2_kxk\.", ".depthwise."),
        (r"\.conv3_1x1\.", ".project."),
        # MobileViT block
        (r"\.conv_kxk\.", ".local_conv."),
        (r"\.conv_1x1\.", ".local_proj."),
        (r"\.conv_proj\.", ".project."),
        (r"\.conv_fusion\.", ".fusion."),
        # transformer layers
        (r"\.qkv_proj\.", ".qkv."),
        (r"\.out_proj\.", ".proj."),
        (r"\.mlp\.fc1\.", ".ffn.0."),
        (r"\.mlp\.fc2\.", ".ffn.2."),
    ),
)
