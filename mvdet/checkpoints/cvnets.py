"""Key names of Apple's ml-cvnets (classification networks, releases 0.2 and later) and what they are here.

Each row is a pattern over the whole of one name segment group and its replacement; the rows are applied in order, each
once. What no row touches keeps its name, and whatever then fails to match the network exactly is an error.
"""

# A source file is recognised by a key that only ml-cvnets writes.
SIGNATURE_KEY = "conv_1.block.conv.weight"
# Detection and segmentation files hold the same network under this prefix.
ENCODER_PREFIX = "encoder."
STEM_WEIGHT = "conv_1.block.conv.weight"
# v1's stem saw BGR images in training, v2's RGB; see `bgr` of `convert_state_dict`.
BGR_VERSIONS = frozenset({1})

# layer_N is stages.N-1.
KEY_TABLE: tuple[tuple[str, str], ...] = (
    (r"^conv_1\.block\.", "backbone.stem."),
    (r"^conv_1x1_exp\.block\.", "backbone.expand."),
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
    # MobileViT block
    (r"\.local_rep\.(conv_3x3|0)\.block\.", ".local_conv."),
    (r"\.local_rep\.(conv_1x1|1)\.block\.conv\.", ".local_proj."),
    (r"\.conv_proj\.block\.", ".project."),
    (r"\.fusion\.block\.", ".fusion."),
    # transformer layers; the one entry of global_rep that is not a layer is the last norm
    (r"\.global_rep\.(\d+)\.pre_norm_", r".transformer.\1.pre_norm_"),
    (r"\.global_rep\.\d+\.(weight|bias)$", r".norm.\1"),
    (r"\.pre_norm_(mha|attn)\.0\.", ".norm1."),
    (r"\.pre_norm_mha\.1\.qkv_proj\.", ".attn.qkv."),
    (r"\.pre_norm_mha\.1\.out_proj\.", ".attn.proj."),
    (r"\.pre_norm_attn\.1\.qkv_proj\.block\.conv\.", ".attn.qkv."),
    (r"\.pre_norm_attn\.1\.out_proj\.block\.conv\.", ".attn.proj."),
    (r"\.pre_norm_ffn\.0\.", ".norm2."),
    (r"\.pre_norm_ffn\.1\.(?:block\.conv\.)?(weight|bias)$", r".ffn.0.\1"),
    (r"\.pre_norm_ffn\.[34]\.(?:block\.conv\.)?(weight|bias)$", r".ffn.2.\1"),
)
