"""What transformers' `config.json` must say for its network to be one of ours."""

from collections.abc import Mapping
from typing import Any

from mvdet.backbones.variants import VARIANTS, VariantSpec
from mvdet.checkpoints.messages import plain

# Fields that change the network, and transformers' defaults, which its files leave out. `num_channels` may differ, as
# may what a caller chooses (`output_stride`), what matters in training only, and what is of the heads.
_BOTH = {"patch_size": 2, "conv_kernel_size": 3, "layer_norm_eps": 1e-5}
DEFAULTS: Mapping[str, Mapping[str, Any]] = {
    "mobilevit": {
        **_BOTH,
        "neck_hidden_sizes": [16, 32, 64, 96, 128, 160, 640],
        "hidden_sizes": [144, 192, 240],
        "num_attention_heads": 4,
        "mlp_ratio": 2.0,
        "expand_ratio": 4.0,
        "hidden_act": "silu",
        "qkv_bias": True,
    },
    "mobilevitv2": {
        **_BOTH,
        "width_multiplier": 1.0,
        "n_attn_blocks": [2, 4, 3],
        "base_attn_unit_dims": [128, 192, 256],
        "ffn_multiplier": 2,
        "expand_ratio": 2.0,
        "hidden_act": "swish",
    },
}
# What tells the variants of a kind apart, and values that mean the same.
_WIDTHS = {"mobilevit": "neck_hidden_sizes", "mobilevitv2": "width_multiplier"}
_SAME = ({"silu", "swish"},)


def find_variant(config: Mapping[str, Any]) -> str | None:
    """The variant that a configuration of timm or transformers names or describes, None for none of ours.

    Raises:
        ValueError: if it has a variant's widths and differs in something else; names the field, its value and ours.
    """
    if "architecture" in config:  # timm
        name = str(config["architecture"])
        return name if name in VARIANTS else None
    kind = config.get("model_type")
    if not isinstance(kind, str) or kind not in DEFAULTS:
        return None
    given = {**DEFAULTS[kind], **{field: config[field] for field in DEFAULTS[kind] if field in config}}
    for name, spec in VARIANTS.items():
        wanted = _expected(spec)
        if spec.version == (1 if kind == "mobilevit" else 2) and given[_WIDTHS[kind]] == wanted[_WIDTHS[kind]]:
            _compare(name, given, wanted)
            return name
    return None


def _expected(spec: VariantSpec) -> dict[str, Any]:
    """The fields of transformers' configuration of a variant."""
    if spec.version == 2:
        return {
            **DEFAULTS["mobilevitv2"],
            "width_multiplier": spec.stem_channels / 32,
            "n_attn_blocks": [stage.depth for stage in spec.stages if stage.depth],
            "ffn_multiplier": spec.ffn_ratio,
            "expand_ratio": spec.expand_ratio,
        }
    return {
        **DEFAULTS["mobilevit"],
        "neck_hidden_sizes": [spec.stem_channels, *(s.out_channels for s in spec.stages), spec.expand_channels],
        "hidden_sizes": [stage.attention_dim for stage in spec.stages if stage.depth],
        "num_attention_heads": spec.num_heads,
        "mlp_ratio": spec.ffn_ratio,
        "expand_ratio": spec.expand_ratio,
    }


def _compare(name: str, given: Mapping[str, Any], wanted: Mapping[str, Any]) -> None:
    for field, ours in wanted.items():
        theirs = given[field]
        if field == "patch_size" and theirs == [ours, ours]:
            continue
        if theirs != ours and not any(isinstance(theirs, str) and {theirs, ours} <= same for same in _SAME):
            raise ValueError(f"{field} is {plain(repr(theirs))}, {name} here has {ours!r}")
