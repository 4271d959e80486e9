"""Key names of Apple's ml-cvnets, releases 0.2 and later.

Read off the state dicts that its networks write. Its v1 networks were trained on BGR images, its v2 ones on RGB.
"""

from mvdet.checkpoints.key_format import KeyFormat

CVNETS = KeyFormat(
    name="cvnets",
    # Detection and segmentation files hold the network as their encoder.
    signatures=("conv_1.block.conv.weight", "encoder.conv_1.block.conv.weight"),
    prefix="encoder.",
    bgr_versions=frozenset({1}),
    table=(
        (r"^conv_1\.block\.", "backbone.stem."),
        (r"^conv_1x1_exp\.block\.", "backbone.expand."),
        # layer_N is stages.N-1
        (r"^layer_1\.", "backbone.stages.0."),
        (r"^layer_2\.", "backbone.stages.1."),
        (r"^layer_3\.", "backbone.stages.2."),
        (r"^layer_4\.", "backbone.stages.3."),
        (r"^layer_5\.", "backbone.stages.4."),
        (r"^classifier\.(fc|1)\.", "head."),
        # inverted residual
        (r"\.block\.exp_1x1\.block\.", ".expand."),
        (r"\.block\.conv_3x3\.block\.", ".depthwise."),
        (r"\.block\.red_1x1\.block\.", ".project."),
        # MobileViT block: v1 names its layers, v2 counts them
        (r"\.local_rep\.(conv_3x3|0)\.block\.", ".local_conv."),
        (r"\.local_rep\.(conv_1x1|1)\.block\.conv\.", ".local_proj."),
        (r"\.conv_proj\.block\.", ".project."),
        (r"\.fusion\.block\.", ".fusion."),
        # transformer layers; the one entry of global_rep that is not a layer is the last norm
        (r"\.global_rep\.(\d+)\.pre_norm_", r".transformer.\1.pre_norm_"),
        (r"\.global_rep\.\d+\.(weight|bias)$", r".norm.\1"),
        (r"\.pre_norm_(mha|attn)\.0\.", ".norm1."),
        (r"\.pre_norm_(mha|attn)\.1\.qkv_proj\.(block\.conv\.)?", ".attn.qkv."),
        (r"\.pre_norm_(mha|attn)\.1\.out_proj\.(block\.conv\.)?", ".attn.proj."),
        (r"\.pre_norm_ffn\.0\.", ".norm2."),
        (r"\.pre_norm_ffn\.1\.(block\.conv\.)?", ".ffn.0."),
        (r"\.pre_norm_ffn\.[34]\.(block\.conv\.)?", ".ffn.2."),
    ),
)
