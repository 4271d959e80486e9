"""What transformers' `config.json` must say for its network to be one of ours."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mvdet.backbones.variants import VARIANTS, VariantSpec
from mvdet.wording import first_line, listed, plain

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


# In the order in which transformers and timm prefer them.
WEIGHT_FILES = ("model.safetensors", "pytorch_model.bin")
_WEIGHT_SUFFIXES = {".safetensors", ".pt", ".pth", ".bin", ".ckpt"}


@dataclass(frozen=True, slots=True)
class WeightsFolder:
    """What a folder holds.

    Attributes:
        weights: the weights file.
        variant: the network that `config.json` describes.
        bgr: False where `preprocessor_config.json` says that a v1 network was fed RGB images, None where the
            publisher's habit decides.
    """

    weights: Path
    variant: str
    bgr: bool | None


def read_folder(folder: Path) -> WeightsFolder:
    """Find the weights of a folder and the variant that they are of.

    Raises:
        FileNotFoundError: if the folder has no `config.json` or no weights; names what it looked for.
        ValueError: if the configuration is no JSON, or not of a known variant: names the field that differs.
    """
    others = listed(path.name for path in sorted(filter(_may_be_weights, folder.iterdir())))
    hint = f"; name the file that is meant: {others}" if others else ""
    if not (folder / "config.json").is_file():
        raise FileNotFoundError(f"{folder}: a folder of weights has a config.json, this one has not{hint}")
    config = _read_json(folder / "config.json")
    weights = next((folder / name for name in WEIGHT_FILES if (folder / name).is_file()), None)
    if weights is None:
        raise FileNotFoundError(f"{folder}: no weights file, looked for {' and '.join(WEIGHT_FILES)}{hint}")
    try:
        variant = find_variant(config)
    except ValueError as error:
        raise ValueError(f"{folder / 'config.json'}: {error}") from None
    if variant is None:
        shown = {key: config.get(key) for key in ("architecture", "architectures", "model_type") if key in config}
        raise ValueError(f"{folder / 'config.json'}: not a MobileViT of a known variant: {plain(shown, 300)}")
    bgr = None
    if VARIANTS[variant].version == 1 and (folder / "preprocessor_config.json").is_file():
        flips = _read_json(folder / "preprocessor_config.json").get("do_flip_channel_order")
        bgr = False if flips is False else None
    return WeightsFolder(weights, variant, bgr)


def _may_be_weights(path: Path) -> bool:
    return path.is_file() and not _WEIGHT_SUFFIXES.isdisjoint(path.suffixes)


def _read_json(path: Path) -> Mapping[str, Any]:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{path}: not JSON ({first_line(error)})") from None
    if not isinstance(content, dict):
        raise ValueError(f"{path}: holds no JSON object but {type(content).__name__}")
    return content
