"""Rows of ours in a model definition, checked before anything is built."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch

from mvdet.backbones.pyramid import LEVEL_STRIDES, MobileViTBackbone
from mvdet.checkpoints.weights import Weights, choose_variant, open_weights
from mvdet.heads.deeplabv3 import ASPP_CHANNELS
from mvdet.wording import unknown_name_message
from mvdet.yolo.deeplabv3 import DeepLabV3SemanticSegment
from mvdet.yolo.modules import MobileViT
from mvdet.yolo.ssdlite import SSDLiteDetect

OPTIONS = ("out_strides", "output_stride", "in_channels", "expand_output")
MODULES = {module.__name__: module for module in (MobileViT, SSDLiteDetect, DeepLabV3SemanticSegment)}
"""What a model definition may name."""
HEADS: dict[str, tuple[str, tuple[tuple[int, ...], ...]]] = {
    SSDLiteDetect.__name__: ("two Index rows of one MobileViT row, of strides 16 and 32", ((16, 32),)),
    DeepLabV3SemanticSegment.__name__: (
        "an Index row of stride 32 (without dilation), or two of one MobileViT row, of strides 16 and 32",
        ((32,), (16, 32)),
    ),
}
"""What a head must read, in words and as levels."""


class Sources(list[int]):
    """The rows that a head reads, which as a number are the last of them.

    `parse_model` looks up the channels of what a row that it does not know reads, and expects one row there.
    """

    def __index__(self) -> int:
        return self[-1]


def has_rows_of_ours(definition: dict[str, Any]) -> bool:
    """Whether a model definition names one of `MODULES`."""
    rows = [*definition["backbone"], *definition["head"]]
    return any(name in row[2:3] for row in rows for name in MODULES)


def prepare_rows(definition: dict[str, Any], in_channels: int) -> None:
    """Check the rows of ours in `definition` and those that read a backbone; complete the former, in place.

    Args:
        definition: a model definition as ultralytics reads it from YAML.
        in_channels: channels of the images.

    Raises:
        ValueError: names the file and the row, what was found and what is wanted.
        FileNotFoundError: the same, for weights that are not there.
        ConnectionError: the same, for published weights that cannot be downloaded.
    """
    rows = [*definition["backbone"], *definition["head"]]
    source = definition.get("yaml_file") or "model definition"
    backbones: dict[int, MobileViT] = {}
    maps: dict[int, tuple[int, int, int]] = {}  # Index rows: the backbone's row, the channels, the level's stride
    for index, row in enumerate(rows):
        try:
            sources = _absolute_sources(row, index)
            if row[2] == MobileViT.__name__:
                backbones[index] = _prepare_backbone(row, index, in_channels)
            for read in sources:
                if read in backbones:
                    _check_reader(row, backbones[read])
                    level = LEVEL_STRIDES[backbones[read].backbone.out_levels[row[3][1]]]
                    maps[index] = (read, row[3][0], level)
            if row[2] in HEADS:
                backbone = _prepare_head(row, [maps.get(read) for read in sources], last=index == len(rows) - 1)
                if row[2] == DeepLabV3SemanticSegment.__name__:
                    _complete_deeplabv3(row, backbones[backbone].backbone)
        except (ValueError, FileNotFoundError, ConnectionError) as error:
            raise type(error)(f"{source}: row {index} {_as_yaml(row)}: {error}") from error


def drop_weights(definition: dict[str, Any]) -> None:
    """Forget the weights files of the MobileViT rows, in place: for definitions whose model has its weights."""
    for row in [*definition["backbone"], *definition["head"]]:
        if row[2] == MobileViT.__name__ and len(row[3]) > 1:
            row[3][1] = None


def _prepare_backbone(row: list[Any], index: int, in_channels: int) -> MobileViT:
    _, repeats, _, args = row
    if not isinstance(row[0], int):
        raise ValueError(f"a backbone reads one row, got {row[0]}")
    if repeats != 1:
        raise ValueError(f"a backbone cannot be repeated, repeats must be 1, got {repeats}")
    if not 1 <= len(args) <= 3 or not isinstance(args[0], str):
        raise ValueError(f"arguments must be [name, weights or null, options], got {_as_yaml(args)}")
    name = args[0]
    weights, options = [
        None if arg == "None" else arg for arg in [*args[1:], None, None][:2]
    ]  # as parse_model reads it
    if weights is not None and (not isinstance(weights, (str, Path, Weights)) or not str(weights)):
        raise ValueError(f"weights must be a published name, a path or null, got {weights!r}")
    if options is not None and not isinstance(options, dict):
        raise ValueError(f"options must be a map with keys out of {', '.join(OPTIONS)}, got {options!r}")
    options = dict(options or {})
    for key in options:
        if key not in OPTIONS:
            raise ValueError(unknown_name_message("option", key, OPTIONS))
    if index == 0:
        if options.setdefault("in_channels", in_channels) != in_channels:
            raise ValueError(f"in_channels is {options['in_channels']}, but the images have {in_channels} channels")
    elif "in_channels" not in options:
        raise ValueError("a backbone that is not row 0 needs its input's channels, as in {in_channels: 64}")
    name, weights = choose_variant(name, weights)
    try:
        with torch.device("meta"):  # shapes only
            module = MobileViT(name, None, options)
    except TypeError as error:
        raise ValueError(f"options {options}: {error}") from error
    if weights is not None:
        weights = open_weights(weights, variant=name, task="backbone")
        weights.fit(module.backbone)
    # parse_model hands on what is no string, and so the module is built of the weights that have been read here. Its
    # definition is a copy: the model's own, which checkpoints hold, keeps the name or the path.
    row[3] = [name, weights, options]
    return module


def _prepare_head(row: list[Any], maps: Sequence[tuple[int, int, int] | None], *, last: bool) -> int:
    """A head must read the maps in `HEADS`; it is told their channels. Returns the row of their backbone."""
    sources, repeats, name, args = row
    if repeats != 1:
        raise ValueError(f"a head cannot be repeated, repeats must be 1, got {repeats}")
    if not last:
        raise ValueError("a head must be the last row")
    if args != ["nc"]:
        raise ValueError(f"arguments must be [nc], got {_as_yaml(args)}")
    known = [m for m in maps if m]
    levels = tuple(level for _, _, level in known)
    wanted, allowed = HEADS[name]
    if len(known) < len(maps) or levels not in allowed or len({read for read, _, _ in known}) > 1:
        found = ", ".join(f"stride {m[2]}" if m else "another row" for m in maps)
        raise ValueError(f"must read {wanted}, got {found}")
    row[0] = Sources(sources if isinstance(sources, list) else [sources])
    row[3] = [*args, [channels for _, channels, _ in known]]
    return known[0][0]


def _complete_deeplabv3(row: list[Any], backbone: MobileViTBackbone) -> None:
    """The head is told how wide it is and the stride of the maps, which may be dilated."""
    row[3] += [ASPP_CHANNELS[backbone.spec.version], backbone.strides[-1]]


def _check_reader(row: list[Any], backbone: MobileViT) -> None:
    """An `Index` row must name a map that exists and the channels that it has."""
    sources, repeats, module, args = row
    if module != "Index":
        raise ValueError("reads a MobileViT row, whose output is a list; put [channels, index] Index rows between")
    levels = enumerate(zip(backbone.channels, backbone.strides, strict=True))
    maps = ", ".join(f"{i}: {channels} at stride {stride}" for i, (channels, stride) in levels)
    if not isinstance(sources, int) or repeats != 1:
        raise ValueError(f"an Index row reads one row, once, got from {sources} and repeats {repeats}")
    if len(args) != 2 or not all(type(arg) is int for arg in args):
        raise ValueError(f"arguments must be [channels, index]; {backbone.name} has {maps}")
    channels, index = args
    if not 0 <= index < len(backbone.channels):
        raise ValueError(f"no map {index}; {backbone.name} has {maps}")
    if channels != backbone.channels[index]:
        raise ValueError(
            f"{channels} channels, but map {index} of {backbone.name} has {backbone.channels[index]} ({maps})"
        )


def _absolute_sources(row: list[Any], index: int) -> list[int]:
    """The rows that a well-formed row reads; -1 is the images, for the first one."""
    sources = row[0] if row and isinstance(row[0], list) else row[:1]
    if len(row) != 4 or not isinstance(row[3], list) or not sources or not all(type(f) is int for f in sources):
        raise ValueError("a row is [from, repeats, module, [arguments]], from an integer or a list of integers")
    return [f if f >= 0 else index + f for f in sources]


def _as_yaml(value: Any) -> str:
    """`value` as it stands in the file: flow style, without quotes."""
    if isinstance(value, (list, tuple)):
        return f"[{', '.join(map(_as_yaml, value))}]"
    return "null" if value is None else str(value)
