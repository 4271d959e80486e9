"""State dicts of other implementations, renamed to fit a model of ours."""

from collections.abc import Iterable, Mapping

import torch
from torch import Tensor, nn

from mvdet.backbones.pyramid import MobileViTBackbone
from mvdet.checkpoints.cvnets import CVNETS
from mvdet.checkpoints.key_format import KeyFormat
from mvdet.checkpoints.own import OWN
from mvdet.checkpoints.timm import TIMM

FORMATS = {key_format.name: key_format for key_format in (CVNETS, TIMM, OWN)}
_STEM = "backbone.stem.conv.weight"
_SHOWN_KEYS = 10


def detect_format(keys: Iterable[str]) -> KeyFormat:
    """The format of the implementation that wrote these keys.

    Raises:
        ValueError: if no known implementation uses such keys.
    """
    keys = list(keys)
    for key_format in FORMATS.values():
        if key_format.recognises(keys):
            return key_format
    raise ValueError(f"not a MobileViT state dict of a known source ({', '.join(FORMATS)}): {_listed(sorted(keys))}")


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
        source: "cvnets" (Apple's ml-cvnets), "timm" or "mvdet"; None recognises it by its keys.
        bgr: whether the source network expects BGR images, so that the stem's input channels are flipped. None takes
            what the source's published files are: BGR for ml-cvnets' v1, RGB otherwise.

    Returns:
        A dict that `to.load_state_dict` takes strictly. Tensors are shared with `state_dict` where unchanged.

    Raises:
        ValueError: for an unknown source, a key without a counterpart on either side, or a tensor of another shape.
    """
    if source is not None and source not in FORMATS:
        raise ValueError(f"source must be one of {', '.join(FORMATS)}, got {source!r}")
    backbone = to if isinstance(to, MobileViTBackbone) else to.get_submodule("backbone")
    assert isinstance(backbone, MobileViTBackbone)
    key_format = detect_format(state_dict) if source is None else FORMATS[source]
    converted = key_format.rename(state_dict)
    if (backbone.spec.version in key_format.bgr_versions if bgr is None else bgr) and _STEM in converted:
        converted[_STEM] = converted[_STEM].flip(1)
    if to is backbone:
        converted = _backbone_part(converted, backbone)
    _check_fits(converted, to.state_dict())
    return converted


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
