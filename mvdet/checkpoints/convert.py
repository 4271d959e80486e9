"""State dicts of other implementations, renamed to fit a model of ours, and back."""

import logging
from collections.abc import Mapping, Sequence
from typing import Literal

import torch
from torch import Tensor, nn

from mvdet.backbones.pyramid import MobileViTBackbone
from mvdet.checkpoints.formats import detect_format, get_format
from mvdet.checkpoints.identify import count_classes, find_task, find_variants, is_class_layer, variant_name
from mvdet.checkpoints.key_format import listed

logger = logging.getLogger(__name__)

_STEM = "backbone.stem.conv.weight"
_HEADS = ("head.", "aux_head.")
HeadChoice = Literal["load", "skip"]


def convert_state_dict(
    state_dict: Mapping[str, Tensor],
    *,
    to: nn.Module,
    source: str | None = None,
    bgr: bool | None = None,
    head: HeadChoice = "load",
) -> dict[str, Tensor]:
    """Rename `state_dict` to the keys of `to`; every key and shape is accounted for.

    Args:
        state_dict: names and tensors as the source implementation saves them.
        to: a `MobileViTBackbone`, or a model that holds one as `backbone`. A backbone takes its part of a whole
            network's weights; classifier, detector and unbuilt levels are then not its business.
        source: "cvnets" (Apple's ml-cvnets, any release), "timm", "transformers" or "mvdet"; None recognises it by its
            keys.
        bgr: whether the source network expects BGR images, so that the stem's input channels are flipped. None takes
            what the source's published files are: BGR for v1 of ml-cvnets and transformers, RGB otherwise.
        head: "load" everything, or "skip" the layers whose size follows the number of classes: they stay as `to` has
            them, and the log says which.

    Returns:
        A dict that `to.load_state_dict` takes strictly. Tensors are shared with `state_dict` where unchanged.

    Raises:
        ValueError: for an unknown source, weights of another variant, task or number of classes, a key without a
            counterpart on either side, or a tensor of another shape.
    """
    if head not in ("load", "skip"):
        raise ValueError(f"head must be 'load' or 'skip', got {head!r}")
    backbone = backbone_of(to)
    key_format = detect_format(state_dict) if source is None else get_format(source)
    converted = key_format.read(state_dict)
    _check_variant(converted, backbone)
    if (backbone.spec.version in key_format.bgr_versions if bgr is None else bgr) and _STEM in converted:
        converted[_STEM] = converted[_STEM].flip(1)
    if to is backbone:
        return check_backbone(converted, backbone)
    wanted = to.state_dict()
    converted = _with_head(converted, wanted, head)
    _check_fits(converted, wanted)
    return converted


def export_state_dict(model: nn.Module, target: str, *, bgr: bool | None = None) -> dict[str, Tensor]:
    """The weights of `model` under another implementation's names: the inverse of `convert_state_dict`.

    Args:
        model: a `MobileViTBackbone`, or a model that holds one as `backbone`; not fused. A backbone gives the part of
            their classifier that it is, to be loaded with `strict=False`.
        target: "cvnets", "timm" or "transformers".
        bgr: whether the other network is to be fed BGR images, so that the stem's input channels are flipped. None
            takes what their published files are: BGR for v1 of ml-cvnets and transformers, RGB otherwise.

    Returns:
        Contiguous tensors, none sharing memory with another, so that safetensors takes them, too.

    Raises:
        ValueError: for an unknown target, a fused model, or a head that the other implementation does not have.
    """
    key_format = get_format(target)
    backbone = backbone_of(model)
    state = {("backbone." if model is backbone else "") + key: value for key, value in model.state_dict().items()}
    if "backbone.stem.norm.weight" not in state:
        raise ValueError("a fused model has no batch normalisation left to export; export it before fuse()")
    if backbone.spec.version in key_format.bgr_versions if bgr is None else bgr:
        state[_STEM] = state[_STEM].flip(1)
    state = {key: value.detach().contiguous() for key, value in state.items()}
    return key_format.write(state, backbone.spec, find_task(state)) if key_format.rows else state


def backbone_of(model: nn.Module) -> MobileViTBackbone:
    """`model` itself, or the backbone that it holds.

    Raises:
        TypeError: if `model` is no backbone and holds none.
    """
    backbone = model if isinstance(model, MobileViTBackbone) else getattr(model, "backbone", None)
    if not isinstance(backbone, MobileViTBackbone):
        raise TypeError(f"expected a MobileViT backbone or a model that holds one as `backbone`, got {type(model)}")
    return backbone


def _check_variant(converted: Mapping[str, Tensor], backbone: MobileViTBackbone) -> None:
    found, wanted = find_variants(converted), variant_name(backbone.spec)
    if found and wanted is not None and wanted not in found:
        raise ValueError(f"the weights are {' or '.join(found)}'s, the model is {wanted}")


def check_backbone(converted: Mapping[str, Tensor], backbone: MobileViTBackbone) -> dict[str, Tensor]:
    """The backbone's part of `converted`, our names with their prefix: no head, no level that it was not to build.

    Raises:
        ValueError: if anything else is left over, missing, or of another shape.
    """
    unbuilt = [f"stages.{level}." for level in range(len(backbone.stages), len(backbone.spec.stages))]
    if backbone.expand is None:
        unbuilt.append("expand.")
    part = {key.removeprefix("backbone."): value for key, value in converted.items() if key.startswith("backbone.")}
    part = {key: value for key, value in part.items() if not key.startswith(tuple(unbuilt))}
    strangers = [key for key in converted if not key.startswith(("backbone.", *_HEADS))]
    _check_fits(part, backbone.state_dict(), strangers)
    return part


def _with_head(converted: dict[str, Tensor], wanted: Mapping[str, Tensor], head: HeadChoice) -> dict[str, Tensor]:
    """`converted`, its head checked, or that of the model in its place."""
    found_task, task = find_task(converted), find_task(wanted)
    if found_task not in (task, "backbone"):
        raise ValueError(
            f"the weights are a {found_task} network's, the model does {task}; its `backbone` alone can take them"
        )
    if head == "skip":
        kept = {key: value for key, value in wanted.items() if is_class_layer(key, task)}
        left_out = [key for key in converted if is_class_layer(key, task)]
        logger.warning(
            "head='skip': %s of the weights left out, the model keeps its own %s",
            listed(left_out) or "nothing",
            listed(kept),
        )
        return {key: value for key, value in converted.items() if key not in left_out} | kept
    found, own = count_classes(converted), count_classes(wanted)
    if found != own:
        what = "have no head" if found is None else f"have {found} classes"
        raise ValueError(f"the weights {what}, the model has {own} classes; head='skip' loads all but the class layers")
    return converted


def _check_fits(converted: Mapping[str, Tensor], wanted: Mapping[str, Tensor], strangers: Sequence[str] = ()) -> None:
    problems = []
    if unexpected := [*strangers, *(key for key in converted if key not in wanted)]:
        problems.append(f"{len(unexpected)} keys that the model does not have: {listed(unexpected)}")
    if missing := [key for key in wanted if key not in converted]:
        problems.append(f"{len(missing)} keys of the model are not in the weights: {listed(missing)}")
    shapes = [
        f"{key} is {list(value.shape)}, the model wants {list(wanted[key].shape)}"
        for key, value in converted.items()
        if key in wanted and torch.is_tensor(value) and value.shape != wanted[key].shape
    ]
    if shapes:
        problems.append(f"{len(shapes)} tensors of another shape: {listed(shapes)}")
    if problems:
        raise ValueError("the weights are not of this model; " + "; ".join(problems))
