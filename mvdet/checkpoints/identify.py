"""Which network a state dict is of. All functions take our key names."""

import re
from collections.abc import Iterable, Mapping
from typing import Any

from torch import Tensor

from mvdet.backbones.variants import VARIANTS, VariantSpec
from mvdet.tasks import TASKS, task_of_keys

# SSDLite's last predictor: 4 anchors a cell, each with 4 box offsets and one score a class (background included).
_LAST_PREDICTOR, _ANCHORS, _OFFSETS = "head.predictors.5.bias", 4, 4


def find_task(keys: Iterable[str]) -> str:
    """The task's name: "classification", "detection", "segmentation", or "backbone" where no head is among the keys."""
    task = task_of_keys(list(keys))
    return "backbone" if task is None else task.name


def find_variants(state_dict: Mapping[str, Tensor]) -> list[str]:
    """Names of the networks whose channels are those of `state_dict`; several where it holds few levels, or none."""
    channels = {}
    for level in range(5):
        for block in (0, 1):
            if (weight := state_dict.get(f"backbone.stages.{level}.{block}.project.conv.weight")) is not None:
                channels[level] = weight.shape[0]
                break
    stem = state_dict.get("backbone.stem.conv.weight")
    expand = state_dict.get("backbone.stages.0.0.expand.conv.weight")
    return [
        name
        for name, spec in VARIANTS.items()
        if channels
        and all(spec.stages[level].out_channels == width for level, width in channels.items())
        and (stem is None or stem.shape[0] == spec.stem_channels)
        and (expand is None or expand.shape[0] == expand.shape[1] * spec.expand_ratio)
        and _versions(state_dict) <= {spec.version}
    ]


def variant_name(spec: VariantSpec) -> str | None:
    """The name of a network, None for one that is not published."""
    return next((name for name, known in VARIANTS.items() if known == spec), None)


def count_classes(state_dict: Mapping[str, Tensor]) -> int | None:
    """Classes of the head (SSDLite's with the background), None where there is no head."""
    match find_task(state_dict):
        case "classification":
            return _length(state_dict, "head.bias")
        case "segmentation":
            return _length(state_dict, "head.classifier.bias")
        case "detection":
            length = _length(state_dict, _LAST_PREDICTOR)
            return None if length is None else length // _ANCHORS - _OFFSETS
        case _:
            return None


def head_options(state_dict: Mapping[str, Tensor]) -> dict[str, Any]:
    """Arguments of the model's class, beside the number of classes, that the sizes of its head follow from."""
    if find_task(state_dict) != "segmentation":
        return {}
    options: dict[str, Any] = {"aux_head": any(key.startswith("aux_head.") for key in state_dict)}
    if (weight := state_dict.get("head.classifier.weight")) is not None:
        options["aspp_channels"] = weight.shape[1]
    return options


def is_class_layer(key: str, task: str) -> bool:
    """Whether a parameter's size follows the number of classes in a model for `task`."""
    return task in TASKS and re.match(TASKS[task].class_layers, key) is not None


def _length(state_dict: Mapping[str, Tensor], key: str) -> int | None:
    return state_dict[key].shape[0] if key in state_dict else None


def _versions(state_dict: Mapping[str, Tensor]) -> set[int]:
    """The MobileViT version that these keys show: v1's transformers have linear layers, v2's convolutions."""
    weights = [value for key, value in state_dict.items() if key.endswith(".attn.qkv.weight")]
    return {1 if weight.dim() == 2 else 2 for weight in weights[:1]}
