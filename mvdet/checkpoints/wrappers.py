"""What training code wraps a state dict in, and which of several it is that counts."""

import logging
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from mvdet.wording import listed, plain

logger = logging.getLogger(__name__)

# Averaged weights are what a run is evaluated with, so they come first.
_AVERAGED = (
    *("state_dict_ema", "ema_state_dict", "model_ema"),  # timm, ml-cvnets, torchvision
    *("model_ema_state_dict", "ema_model", "ema", "params_ema"),
)
_WRAPPERS = (
    *("state_dict", "model_state_dict", "model"),
    *("module", "net", "network", "weights", "params"),
)
_DEPTH = 3
# What AveragedModel, OpenMMLab's average and others count beside the weights.
_COUNTERS = {"n_averaged", "steps", "step", "initted"}
_LONGEST_KEY = 300


def unwrap(content: Any, where: object) -> dict[str, Tensor]:
    """The state dict in what a file holds; which one it is, where there are several, is logged.

    Args:
        content: what was read.
        where: the file, for the log.

    Raises:
        ValueError: if there is no state dict, or several that nothing tells apart; names what is there.
    """
    for _ in range(_DEPTH):
        if not isinstance(content, Mapping) or (wrapper := _find(content)) is None:
            break
        others = [name for name in (*_AVERAGED, *_WRAPPERS) if name != wrapper and _mapping(content, name)]
        if others:
            kind = "averaged weights" if {wrapper, *others} & set(_AVERAGED) else "weights"
            logger.warning("%s: the %s are taken: %r, not %s", where, kind, wrapper, listed(map(repr, others)))
        content = content[wrapper]
    if isinstance(content, Mapping) and len(content) > 1:
        content = {key: value for key, value in content.items() if key not in _COUNTERS}
    if not isinstance(content, Mapping) or not content:
        raise ValueError(f"holds no state dict but {type(content).__name__}")
    for key, value in content.items():
        if not isinstance(key, str) or not torch.is_tensor(value):
            raise ValueError(f"not a state dict, {plain(repr(key))} is no tensor")
        if len(key) > _LONGEST_KEY:
            raise ValueError(f"not a state dict, a key has {len(key)} characters: {plain(key)}")
    return dict(content)


def _find(content: Mapping[Any, Any]) -> str | None:
    """The name of what is inside, None where nothing is: it is the state dict then, or none at all."""
    if "steps" in _mapping(content, "ema_state_dict") and _mapping(content, "state_dict"):
        return "state_dict"  # OpenMMLab's hook swaps the two when it saves: these are the averaged ones
    for name in (*_AVERAGED, *_WRAPPERS):
        if _mapping(content, name):
            return name
    if any(torch.is_tensor(value) for value in content.values()):
        return None
    inside = [key for key in content if (found := _mapping(content, key)) and all(map(torch.is_tensor, found.values()))]
    if len(inside) > 1:
        raise ValueError(
            f"{len(inside)} state dicts are in it ({listed(inside)}); save the one that is meant by itself"
        )
    return inside[0] if inside else None


def _mapping(content: Mapping[Any, Any], key: Any) -> Mapping[Any, Any]:
    """What is under a key if that is a mapping, an empty one if not."""
    value = content.get(key)
    return value if isinstance(value, Mapping) else {}
