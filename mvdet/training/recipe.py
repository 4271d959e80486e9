"""Recipes: every setting of a training run, in a YAML file, on the command line, or left at its default."""

import argparse
import dataclasses
import types
import typing
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

import yaml

from mvdet.backbones.registry import unknown_name_message

T = TypeVar("T")
_NONE_WORDS = ("none", "null", "")


def setting(default: Any, help: str) -> Any:
    """A field of a recipe: its default, and what `--help` says of it."""
    return dataclasses.field(default=default, metadata={"help": help})


def read_settings(recipe: type, path: str | Path) -> dict[str, Any]:
    """The settings of a YAML file, converted to the types of a recipe's fields.

    Raises:
        FileNotFoundError: no such file.
        ValueError: not a YAML map, an unknown key (with the nearest one) or a value of another type; names the file.
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"recipe not found: {path}")
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except yaml.YAMLError as error:
        raise ValueError(f"{path}: not YAML: {' '.join(str(error).split())}") from None
    if not isinstance(content, Mapping):
        raise ValueError(f"{path}: a recipe is a map of settings, got {type(content).__name__}")
    fields = _fields(recipe)
    settings = {}
    for key, value in content.items():
        if key not in fields:
            raise ValueError(f"{path}: {unknown_name_message('setting', key, fields)}")
        try:
            settings[key] = _convert(value, fields[key])
        except ValueError as error:
            raise ValueError(f"{path}: {key}: {error}") from None
    return settings


def parse_arguments(recipe: type[T], argv: Sequence[str], recipes: Mapping[str, Path], *, description: str) -> T:
    """A recipe from the command line: its flags over the settings of `--config` over the defaults.

    Args:
        recipe: a dataclass made of `setting`s; each is a flag, its underscores written as dashes.
        argv: the arguments, without the program's name.
        recipes: the recipe that is taken without `--config`, by `data_format`.
        description: for `--help`.

    Raises:
        SystemExit: for `--help`, and for arguments that argparse refuses.
        FileNotFoundError, ValueError: as `read_settings`; an unknown flag names the nearest one.
    """
    fields = _fields(recipe)
    parser = argparse.ArgumentParser(description=description)
    config_help = f"recipe (YAML); its settings are these flags, with underscores (default: {_listed(recipes)})"
    parser.add_argument("--config", type=Path, help=config_help)
    for field in dataclasses.fields(recipe):  # type: ignore[arg-type]
        _add_flag(parser, field, fields[field.name])
    arguments, unknown = parser.parse_known_args(argv)
    if unknown:
        flags = ["--config", *("--" + name.replace("_", "-") for name in fields)]
        raise ValueError(unknown_name_message("argument", unknown[0].partition("=")[0], flags))
    given = {name: value for name, value in vars(arguments).items() if name in fields and value is not None}
    given = {name: _convert(value, fields[name], where=f"--{name.replace('_', '-')}") for name, value in given.items()}
    config = arguments.config
    if config is None:
        formats = {field.name: field.default for field in dataclasses.fields(recipe)}  # type: ignore[arg-type]
        config = recipes[given.get("data_format", formats["data_format"])]
    return recipe(**read_settings(recipe, config) | given)


def _listed(recipes: Mapping[str, Path]) -> str:
    return ", ".join(f"{path.name} for {data_format}" for data_format, path in recipes.items())


def _fields(recipe: type) -> dict[str, Any]:
    """Name to type of each setting."""
    return typing.get_type_hints(recipe)


def _add_flag(parser: argparse.ArgumentParser, field: "dataclasses.Field[Any]", kind: Any) -> None:
    flag = "--" + field.name.replace("_", "-")
    text = f"{field.metadata['help']} (default {field.default})".replace("%", "%%")
    if kind is bool:
        parser.add_argument(flag, action=argparse.BooleanOptionalAction, default=None, help=text)
    elif typing.get_origin(kind) is tuple:
        count = "+" if typing.get_args(kind)[-1] is Ellipsis else len(typing.get_args(kind))
        parser.add_argument(flag, nargs=count, default=None, help=text, metavar="VALUE")
    else:
        choices = typing.get_args(kind) if typing.get_origin(kind) is typing.Literal else None
        metavar = "{" + ",".join(choices) + "}" if choices else "VALUE"
        parser.add_argument(flag, default=None, help=text, metavar=metavar)


def _convert(value: Any, kind: Any, *, where: str = "") -> Any:
    """A value of a YAML file or of the command line as a field's type.

    Raises:
        ValueError: if it is none; `where` goes before the message.
    """
    prefix = f"{where}: " if where else ""
    options = typing.get_args(kind) if typing.get_origin(kind) in (typing.Union, types.UnionType) else (kind,)
    if type(None) in options and (value is None or (isinstance(value, str) and value.lower() in _NONE_WORDS)):
        return None
    (kind,) = [option for option in options if option is not type(None)]
    if typing.get_origin(kind) is typing.Literal:
        if value not in typing.get_args(kind):
            raise ValueError(prefix + unknown_name_message("value", value, typing.get_args(kind)))
        return value
    if typing.get_origin(kind) is tuple:
        parts = typing.get_args(kind)
        values = value if isinstance(value, (list, tuple)) else [value]
        parts = (parts[0],) * len(values) if parts[-1] is Ellipsis else parts
        if len(values) != len(parts):
            raise ValueError(f"{prefix}{len(parts)} values wanted, got {value!r}")
        return tuple(_convert(v, part, where=where) for v, part in zip(values, parts, strict=True))
    if kind is bool:
        if not isinstance(value, bool):
            raise ValueError(f"{prefix}true or false wanted, got {value!r}")
        return value
    if isinstance(value, (bool, list, dict)) or value is None:
        raise ValueError(f"{prefix}{kind.__name__} wanted, got {value!r}")
    try:
        converted = kind(value)
    except ValueError:
        raise ValueError(f"{prefix}{kind.__name__} wanted, got {value!r}") from None
    if kind is int and float(value) != converted:
        raise ValueError(f"{prefix}int wanted, got {value!r}")
    return converted
