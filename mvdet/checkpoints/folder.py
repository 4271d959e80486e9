"""Folders as transformers and timm save them: `config.json` beside the weights."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mvdet.backbones.variants import VARIANTS
from mvdet.checkpoints.folder_config import find_variant
from mvdet.checkpoints.messages import first_line, plain

# In the order in which transformers and timm prefer them.
WEIGHT_FILES = ("model.safetensors", "pytorch_model.bin")


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
    config = _read_json(folder / "config.json")
    weights = next((folder / name for name in WEIGHT_FILES if (folder / name).is_file()), None)
    if weights is None:
        raise FileNotFoundError(f"{folder}: no weights file, looked for {' and '.join(WEIGHT_FILES)}")
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


def _read_json(path: Path) -> Mapping[str, Any]:
    if not path.is_file():
        raise FileNotFoundError(f"{path.parent}: a folder of weights has a {path.name}, this one has not")
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{path}: not JSON ({first_line(error)})") from None
    if not isinstance(content, dict):
        raise ValueError(f"{path}: holds no JSON object but {type(content).__name__}")
    return content
