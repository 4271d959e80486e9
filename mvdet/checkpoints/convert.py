"""State dicts of other implementations, renamed to fit a model of ours."""

import re
from collections.abc import Iterable, Mapping

import torch
from torch import Tensor, nn

from mvdet.backbones.pyramid import MobileViTBackbone
from mvdet.checkpoints import cvnets

SOURCES = ("cvnets", "mvdet")
_SHOWN_KEYS = 10


def detect_source(keys: Iterable[str]) -> str:
    """The implementation that wrote these keys: one of `SOURCES`.

    Raises:
        ValueError: if no known implementation uses such keys.
    """
    keys = set(keys)
    if {cvnets.SIGNATURE_KEY, cvnets.ENCODER_PREFIX + cvnets.SIGNATURE_KEY} & keys:
        return "cvnets"
    if {"stem.conv.weight", "backbone.stem.conv.weight"} & keys:
        return "mvdet"
    raise ValueError(f"not a MobileViT state dict of a known source ({', '.join(SOURCES)}): {_listed(sorted(keys))}")


def convert_state_dict(
    state_dict: Mapping[str, Tensor],
    *,
    to: nn.Module,
    source: str | None = None,
    bgr: bool | None = None,
) -> dict[str, Tensor]:
    """Rename `state_dict` to the keys of `to`; every key and shape is accounted for.

    Args:
        state_dict: names and tensors as the source implementation saves them.
        to: a `MobileViTBackbone`, or a model that holds one as `backbone`. A backbone takes its part of a whole
            network's weights; classifier, detector and unbuilt levels are then not its business.
        source: "cvnets" (Apple's ml-cvnets) or "mvdet"; None recognises it by its keys.
        bgr: whether the source network expects BGR images, so that the stem's input channels are flipped. None takes
            what the source's published files are: BGR for ml-cvnets' v1, RGB otherwise.

    Returns:
        A dict that `to.load_state_dict` takes strictly. Tensors are shared with `state_dict` where unchanged.

    Raises:
        ValueError: for an unknown source, a key without a counterpart on either side, or a tensor of another shape.
    """
    if source is None:
        source = detect_source(state_dict)
    if source not in SOURCES:
        raise ValueError(f"source must be one of {', '.join(SOURCES)}, got {source!r}")
    backbone = to if isinstance(to, MobileViTBackbone) else to.get_submodule("backbone")
    assert isinstance(backbone, MobileViTBackbone)
    if source == "cvnets":
        converted = _rename_cvnets(state_dict)
        flip = backbone.spec.version in cvnets.BGR_VERSIONS if bgr is None else bgr
    else:
        is_backbone = "stem.conv.weight" in state_dict
        converted = {f"backbone.{key}": value for key, value in state_dict.items()} if is_backbone else dict(state_dict)
        flip = bool(bgr)
    stem = "backbone.stem.conv.weight"
    if flip and stem in converted:
        converted[stem] = converted[stem].flip(1)
    if to is backbone:
        converted = _backbone_part(converted, backbone)
    _check_fits(converted, to.state_dict())
    return converted


def _rename_cvnets(state_dict: Mapping[str, Tensor]) -> dict[str, Tensor]:
    renamed = {}
    for key, value in state_dict.items():
        name = key.removeprefix(cvnets.ENCODER_PREFIX)
        for pattern, replacement in cvnets.KEY_TABLE:
            name = re.sub(pattern, replacement, name, count=1)
        if name in renamed:
            raise ValueError(f"two keys of the state dict stand for {name!r}; the second is {key!r}")
        renamed[name] = value
    return renamed


def _backbone_part(converted: Mapping[str, Tensor], backbone: MobileViTBackbone) -> dict[str, Tensor]:
    """The backbone's keys without their prefix, less the levels that this backbone was asked not to build."""
    unbuilt = [f"stages.{level}." for level in range(len(backbone.stages), len(backbone.spec.stages))]
    if backbone.expand is None:
        unbuilt.append("expand.")
    part = {key.removeprefix("backbone."): value for key, value in converted.items() if key.startswith("backbone.")}
    return {key: value for key, value in part.items() if not key.startswith(tuple(unbuilt))}


def _check_fits(converted: Mapping[str, Tensor], wanted: Mapping[str, Tensor]) -> None:
    problems = []
    if unexpected := [key for key in converted if key not in wanted]:
        problems.append(f"{len(unexpected)} keys that the model does not have: {_listed(unexpected)}")
    if missing := [key for key in wanted if key not in converted]:
        problems.append(f"{len(missing)} keys of the model are not in the weights: {_listed(missing)}")
    shapes = [
        f"{key} is {list(value.shape)}, the model wants {list(wanted[key].shape)}"
        for key, value in converted.items()
        if key in wanted and torch.is_tensor(value) and value.shape != wanted[key].shape
    ]
    if shapes:
        problems.append(f"{len(shapes)} tensors of another shape: {_listed(shapes)}")
    if problems:
        raise ValueError("the weights are not of this model; " + "; ".join(problems))


def _listed(items: list[str]) -> str:
    more = f" and {len(items) - _SHOWN_KEYS} more" if len(items) > _SHOWN_KEYS else ""
    return ", ".join(items[:_SHOWN_KEYS]) + more
