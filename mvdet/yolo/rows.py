"""MobileViT rows of a model definition, checked before anything is built."""

from pathlib import Path
from typing import Any

import torch

from mvdet.backbones.registry import unknown_name_message
from mvdet.checkpoints import read_weights
from mvdet.checkpoints.locate import resolve_name
from mvdet.checkpoints.manifest import is_weights_name
from mvdet.yolo.modules import MobileViT

OPTIONS = ("out_strides", "output_stride", "in_channels", "expand_output")


def has_mobilevit(definition: dict[str, Any]) -> bool:
    """Whether a model definition has a `MobileViT` row."""
    return any(MobileViT.__name__ in row[2:3] for row in [*definition["backbone"], *definition["head"]])


def prepare_rows(definition: dict[str, Any], in_channels: int) -> None:
    """Check the MobileViT rows of `definition` and the rows that read them; complete the former, in place.

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
    for index, row in enumerate(rows):
        try:
            sources = _absolute_sources(row, index)
            if row[2] == MobileViT.__name__:
                backbones[index] = _prepare_backbone(row, index, in_channels)
            for read in sources:
                if read in backbones:
                    _check_reader(row, backbones[read])
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
    if weights is not None and (not isinstance(weights, (str, Path)) or not str(weights)):
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
    try:
        with torch.device("meta"):  # shapes only
            module = MobileViT(resolve_name(name, weights), None, options)
    except TypeError as error:
        raise ValueError(f"options {options}: {error}") from error
    if weights is not None:
        read_weights(weights, to=module.backbone)
        # parse_model evaluates strings, and stumbles over a path with a slash in front: a Path passes untouched.
        weights = weights if is_weights_name(str(weights)) else Path(weights)
    row[3] = [module.name, weights, options]
    return module


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
