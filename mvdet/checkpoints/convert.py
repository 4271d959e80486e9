"""State dicts of other implementations, renamed to fit a model of ours, and back."""

import logging
from collections.abc import Mapping, Sequence
from typing import Literal, get_args

import torch
from torch import Tensor, nn

from mvdet.backbones.pyramid import MobileViTBackbone
from mvdet.checkpoints.formats import detect_format, get_format
from mvdet.checkpoints.formats.key_format import COUNTER, KeyFormat
from mvdet.checkpoints.identify import count_classes, find_task, find_variants, is_class_layer, variant_name
from mvdet.wording import listed, plain

logger = logging.getLogger(__name__)

STEM = "backbone.stem.conv.weight"
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
        source: "cvnets" (Apple's ml-cvnets, any release), "timm", "transformers", "mmpretrain" or "mvdet"; None
            recognises it by its keys.
        bgr: whether the source network expects BGR images, so that the stem's input channels are flipped. None takes
            what the source's published files are: BGR for v1 of ml-cvnets, transformers and mmpretrain, RGB otherwise;
            a stem that does not read three channels is then left as it is.
        head: "load" everything, or "skip" the layers whose size follows the number of classes: they stay as `to` has
            them, and the log says which.

    Returns:
        A dict that `to.load_state_dict` takes strictly. Tensors are shared with `state_dict` where unchanged;
        numbers of another precision are turned into that of `to`, and the log says so. What batch normalisations count
        is 0 where `state_dict` has none of it: nothing depends on it.

    Raises:
        ValueError: for an unknown source, weights of another variant, task or number of classes, a key without a
            counterpart on either side, a tensor of another shape or kind of number, or `bgr=True` where the stem does
            not read three channels.
        TypeError: if `to` is no backbone and holds none.
    """
    check_head(head)
    backbone = backbone_of(to)
    key_format = detect_format(state_dict) if source is None else get_format(source)
    tensors, leftovers = read_network(key_format, state_dict)
    flip = backbone.spec.version in key_format.bgr_versions if bgr is None else bgr
    return fit_state_dict(tensors, leftovers, to=to, flip=flip, flip_asked=bgr is True, head=head)


def read_network(
    key_format: KeyFormat, state_dict: Mapping[str, Tensor], where: str = ""
) -> tuple[dict[str, Tensor], list[str]]:
    """What `KeyFormat.read` gives; keys that are beside the network, such as a loss's, are logged and left out.

    Args:
        key_format: whose names the keys are.
        state_dict: what a file holds.
        where: the file, for the log, as "w.pt: ".

    Raises:
        ValueError: as `KeyFormat.read`.
    """
    tensors, leftovers = key_format.read(state_dict)
    if beside := key_format.beside(state_dict):
        shown = key_format.outer(state_dict)
        logger.warning(
            "%sthe network is under %r; %d other keys left out: %s", where, shown, len(beside), listed(beside, 3)
        )
    return tensors, leftovers


def fit_state_dict(
    tensors: Mapping[str, Tensor],
    leftovers: Sequence[str],
    *,
    to: nn.Module,
    flip: bool,
    flip_asked: bool = False,
    head: HeadChoice = "load",
    where: str = "",
) -> dict[str, Tensor]:
    """Check tensors that have our names against `to`; every key and shape is accounted for.

    Args:
        tensors: as `KeyFormat.read` gives them; not changed.
        leftovers: keys that had no name of ours.
        to: as in `convert_state_dict`, and so are `head`, what is returned, and the errors.
        flip: turn the order of the stem's input channels round, where there are three.
        flip_asked: whether another number of them is an error, then.
        head: "load" or "skip".
        where: the file, for the log, as "w.pt: ".
    """
    backbone = backbone_of(to)
    _check_variant(tensors, backbone)
    tensors = flip_stem(tensors, flip, asked=flip_asked)
    if to is backbone:
        return _complete(check_backbone(tensors, backbone, leftovers), backbone.state_dict(), where)
    wanted = to.state_dict()
    fitting, left_out = _with_head(tensors, wanted, head)
    _check_fits(fitting, wanted, leftovers)
    if head == "skip":
        task = find_task(wanted)
        logger.warning(
            "head='skip': %s of the weights left out, the model keeps its own %s",
            listed(left_out) or "nothing",
            listed(key for key in wanted if is_class_layer(key, task)),
        )
    return _complete(fitting, wanted, where)


def check_head(head: object) -> None:
    """Raise ValueError unless `head` is one of `HeadChoice`."""
    if head not in get_args(HeadChoice):
        raise ValueError(f"head must be {' or '.join(map(repr, get_args(HeadChoice)))}, got {head!r}")


def export_state_dict(model: nn.Module, target: str, *, bgr: bool | None = None) -> dict[str, Tensor]:
    """The weights of `model` under another implementation's names: the inverse of `convert_state_dict`.

    Args:
        model: a `MobileViTBackbone`, or a model that holds one as `backbone`; not fused. A backbone gives the part of
            their classifier that it is, to be loaded with `strict=False`.
        target: "cvnets", "timm", "transformers" or "mmpretrain" (v1 alone).
        bgr: whether the other network is to be fed BGR images, so that the stem's input channels are flipped. None
            takes what their published files are: BGR for v1 of ml-cvnets, transformers and mmpretrain, RGB
            otherwise; a stem that does not read three channels is then left as it is.

    Returns:
        Contiguous copies: none shares memory with the model or another, so that safetensors takes them, too.

    Raises:
        ValueError: for an unknown target, a fused model, a head that the other implementation does not have, or
            `bgr=True` where the stem does not read three channels.
        TypeError: if `model` is no backbone and holds none.
    """
    key_format = get_format(target, "target")
    backbone = backbone_of(model)
    state = {("backbone." if model is backbone else "") + key: value for key, value in model.state_dict().items()}
    if "backbone.stem.norm.weight" not in state:
        raise ValueError("a fused model has no batch normalisation left to export; export it before fuse()")
    state = {key: value.detach().clone(memory_format=torch.contiguous_format) for key, value in state.items()}
    flip = backbone.spec.version in key_format.bgr_versions if bgr is None else bgr
    state = flip_stem(state, flip, asked=bgr is True)
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


def _check_variant(tensors: Mapping[str, Tensor], backbone: MobileViTBackbone) -> None:
    found, wanted = find_variants(tensors), variant_name(backbone.spec)
    if found and wanted is not None and wanted not in found:
        raise ValueError(f"the weights are {' or '.join(found)}'s, the model is {wanted}")


def flip_stem(tensors: Mapping[str, Tensor], flip: bool, *, asked: bool) -> dict[str, Tensor]:
    """A copy of `tensors`, by our names with their prefix, with the stem's input channels turned round where it has 3.

    Raises:
        ValueError: if that was asked for and the stem reads another number.
    """
    stem = tensors.get(STEM)
    if stem is None or stem.dim() != 4:
        return dict(tensors)
    if asked and stem.shape[1] != 3:
        raise ValueError(f"bgr=True is for networks of three input channels, {STEM} is {list(stem.shape)}")
    return dict(tensors) | ({STEM: stem.flip(1)} if flip and stem.shape[1] == 3 else {})


def check_backbone(
    tensors: Mapping[str, Tensor], backbone: MobileViTBackbone, leftovers: Sequence[str] = ()
) -> dict[str, Tensor]:
    """The backbone's part of `tensors`, our names with their prefix: no head, no level that it was not to build.

    Raises:
        ValueError: if anything else is left over (`leftovers`, too), missing, or of another shape or kind of number.
    """
    unbuilt = [f"stages.{level}." for level in range(len(backbone.stages), len(backbone.spec.stages))]
    if backbone.expand is None:
        unbuilt.append("expand.")
    part = {key.removeprefix("backbone."): value for key, value in tensors.items() if key.startswith("backbone.")}
    part = {key: value for key, value in part.items() if not key.startswith(tuple(unbuilt))}
    _check_fits(part, backbone.state_dict(), leftovers)
    return part


def _with_head(
    tensors: Mapping[str, Tensor], wanted: Mapping[str, Tensor], head: HeadChoice
) -> tuple[dict[str, Tensor], list[str]]:
    """`tensors`, their head checked, or that of the model in its place, and the keys that are left out then."""
    found_task, task = find_task(tensors), find_task(wanted)
    if found_task not in (task, "backbone"):
        raise ValueError(
            f"the weights are a {found_task} network's, the model does {task}; its `backbone` alone can take them"
        )
    if head == "skip":
        kept = {key: value for key, value in wanted.items() if is_class_layer(key, task)}
        left_out = [key for key in tensors if is_class_layer(key, task)]
        return {key: value for key, value in tensors.items() if key not in left_out} | kept, left_out
    found, own = count_classes(tensors), count_classes(wanted)
    if found is None and own is not None:  # where more is missing than the head, that is what is said
        _check_fits(tensors, {key: value for key, value in wanted.items() if key in tensors or key[:9] == "backbone."})
    if found != own:
        what = "have no head" if found is None else f"have {found} classes"
        raise ValueError(f"the weights {what}, the model has {own} classes; head='skip' loads all but the class layers")
    return dict(tensors), []


def _check_fits(tensors: Mapping[str, Tensor], wanted: Mapping[str, Tensor], leftovers: Sequence[str] = ()) -> None:
    problems = []
    if unexpected := [*leftovers, *(key for key in tensors if key not in wanted)]:
        problems.append(f"{len(unexpected)} keys that the model does not have: {listed(unexpected)}")
    counts = any(key.endswith(COUNTER) for key in tensors)  # files have all counters, or none
    if missing := [key for key in wanted if key not in tensors and (counts or not key.endswith(COUNTER))]:
        problems.append(f"{len(missing)} keys of the model are not in the weights: {listed(missing)}")
    pairs = [(plain(key), value, wanted[key]) for key, value in tensors.items() if key in wanted]
    shapes = [
        f"{key} is {list(value.shape)}, the model wants {list(other.shape)}"
        for key, value, other in pairs
        if value.shape != other.shape
    ]
    if shapes:
        problems.append(f"{len(shapes)} tensors of another shape: {listed(shapes, cut=250)}")
    kinds = [
        f"{key} is {value.dtype}, the model wants {other.dtype}"
        for key, value, other in pairs
        if value.is_floating_point() != other.is_floating_point() and not key.endswith(COUNTER)
    ]
    if kinds:
        problems.append(f"{len(kinds)} tensors of another kind of number: {listed(kinds, cut=250)}")
    if problems:
        raise ValueError("the weights are not of this model; " + "; ".join(problems))


def _complete(tensors: Mapping[str, Tensor], wanted: Mapping[str, Tensor], where: str) -> dict[str, Tensor]:
    """Tensors that fit `wanted`, in its precision, with the counters that they lack."""
    completed, turned = dict(tensors), {}
    for key, other in wanted.items():
        value = completed.get(key)
        if key.endswith(COUNTER):
            if value is None or value.is_floating_point():  # cast with the weights, it is no count any more
                completed[key] = torch.zeros(other.shape, dtype=other.dtype)
        elif value is not None and value.dtype != other.dtype:
            turned[value.dtype] = other.dtype
            completed[key] = value.to(other.dtype)
    for theirs, ours in turned.items():
        rounded = torch.finfo(theirs).eps < torch.finfo(ours).eps
        how = "rounded" if rounded else f"no more exact than {_name(theirs)} is"
        logger.warning("%sthe weights are %s, loaded as %s: %s", where, _name(theirs), _name(ours), how)
    return completed


def _name(dtype: torch.dtype) -> str:
    return str(dtype).removeprefix("torch.")
