"""Recipes: every setting of a training run, in a YAML file, on the command line, or left at its default."""

import argparse
import dataclasses
import types
import typing
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, TypeVar

import yaml

from mvdet.data.io.faults import DEFAULT_POLICY, BadDataPolicy
from mvdet.wording import unknown_name_message

T = TypeVar("T")
Sampler = Literal["fixed", "multi-scale", "multi-size"]

AUTO = "auto"
"""The data format that is found out from the folder."""

SHAPES_FOLDER = Path("datasets/shapes")
"""Where the generated pictures are written, unless a recipe says otherwise."""

_NONE_WORDS = ("none", "null", "")


def setting(default: Any, help: str) -> Any:
    """A field of a recipe: its default, and what `--help` says of it."""
    return dataclasses.field(default=default, metadata={"help": help})


@dataclasses.dataclass(frozen=True)
class TrainingRecipe:
    """Settings of data loading, optimisation and the run; each is a key of a recipe's YAML and a flag of the scripts.

    Raises:
        ValueError: for a value out of range; names it.
    """

    # data
    data_format: str = setting(AUTO, "how the data set lies on disk")
    data_root: Path | None = setting(None, "folder of the data set; those that make themselves have one of their own")
    train_split: str | tuple[str, ...] | None = setting(None, "what to train on; none finds it in the folder")
    val_split: str | tuple[str, ...] | None = setting(None, "what to measure on; none finds it in the folder")
    val_share: float = setting(0.1, "of the training images, to measure on where the folder has no validation split")
    on_bad_data: BadDataPolicy = setting(DEFAULT_POLICY, "error or skip: what to do with unusable images and labels")
    workers: int = setting(2, "processes that load images, for each device")
    # network
    backbone: str = setting("mobilevit_s", "one of mvdet.list_backbones()")
    size: tuple[int, int] = setting((320, 320), "height and width of the images")
    weights: str | None = setting(None, "of the whole network: published name, file or folder")
    weights_backbone: str | None = setting(None, "of the backbone alone: published name, file or folder")
    head: Literal["load", "skip"] = setting("load", "with weights: load or skip what depends on the number of classes")
    freeze: bool = setting(False, "do not train the backbone")
    freeze_batch_norm: bool = setting(False, "do not train the backbone's batch normalisation")
    # sampler
    sampler: Sampler = setting(
        "fixed", "fixed: one size; multi-scale: batches whose size follows the images'; multi-size: one batch size"
    )
    min_size: tuple[int, int] = setting((160, 160), "height and width of the smallest images, if not fixed")
    max_size: tuple[int, int] = setting((320, 320), "height and width of the largest images, if not fixed")
    num_sizes: int = setting(5, "sizes between them")
    size_divisor: int = setting(32, "what sizes are rounded to multiples of")
    growth_epochs: int = setting(0, "epochs over which the largest size grows from min_size to max_size")
    max_pixels: int = setting(0, "pixels of a step, images times height times width, on one device; 0 for no limit")
    # optimisation
    epochs: int = setting(200, "passes over the training images")
    batch_size: int = setting(128, "images of `size` a step, over all devices together")
    learning_rate: float = setting(9e-4, "the highest one, after the warm-up")
    min_learning_rate: float = setting(1e-6, "the last one, at the end of the cosine")
    warmup_steps: int = setting(500, "steps of the linear warm-up")
    warmup_learning_rate: float = setting(9e-5, "the first one")
    weight_decay: float = setting(0.01, "AdamW's")
    adam_beta2: float = setting(0.999, "AdamW's, of the mean squared gradients; below 1; less pays in short runs")
    decay_norm_and_bias: bool = setting(True, "decay norms and biases, too, as the published v1 runs do")
    gradient_clip: float = setting(10.0, "largest norm of the gradient; 0 for no limit")
    ema_momentum: float = setting(5e-4, "of the averaged weights, which are evaluated and saved; 0 for none")
    sync_batch_norm: bool = setting(True, "normalise over the batch of all devices together")
    # run
    seed: int = setting(0, "of everything random")
    accelerator: str = setting("auto", "Lightning's: auto, cpu, gpu ...")
    devices: str = setting("auto", "Lightning's: auto, a number, or a list as 0,1")
    num_nodes: int = setting(1, "machines")
    precision: str = setting("32-true", "Lightning's: 32-true, 16-mixed, bf16-mixed ...")
    output: Path | None = setting(None, "folder of the run; none makes a new one in runs")
    resume: str | None = setting(None, "auto, or a checkpoint to go on from")
    evaluate_every: int = setting(1, "epochs from one evaluation to the next; the last epoch is evaluated in any case")
    checkpoint_every: int = setting(0, "steps between two checkpoints; 0 makes one an epoch")

    def __post_init__(self) -> None:
        for name in ("epochs", "batch_size", "evaluate_every", "num_nodes", "num_sizes", "size_divisor"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be at least 1, got {getattr(self, name)}")
        counts = ("workers", "warmup_steps", "checkpoint_every", "seed", "max_pixels", "growth_epochs")
        for name in (*counts, "gradient_clip", "weight_decay"):
            if getattr(self, name) < 0:
                raise ValueError(f"{name} must be at least 0, got {getattr(self, name)}")
        self.check_share("ema_momentum", "adam_beta2", "val_share")
        if self.adam_beta2 == 1:
            raise ValueError("adam_beta2 must be below 1, got 1.0")
        if self.val_share == 1:
            raise ValueError("val_share must be below 1, got 1.0: nothing would be left to train on")
        if self.learning_rate <= 0:
            raise ValueError(f"learning_rate must be above 0, got {self.learning_rate}")

    def check_share(self, *names: str) -> None:
        """Raises ValueError for settings that are not between 0 and 1."""
        for name in names:
            if not 0 <= getattr(self, name) <= 1:
                raise ValueError(f"{name} must be between 0 and 1, got {getattr(self, name)}")

    def check_data_root(self, *data_formats: str) -> None:
        """Raises ValueError where the data format is one of these and nothing says where the data lies."""
        if self.data_format in data_formats and self.data_root is None:
            raise ValueError(f"data_format {self.data_format} needs a data_root")

    @property
    def existing_data_root(self) -> Path:
        """`data_root` of a data format that has been checked to have one."""
        assert self.data_root is not None
        return self.data_root

    def dataset_options(self, transform: Callable[[int, int], Any], *, train: bool) -> dict[str, Any]:
        """The arguments that every data set takes, whatever its task and format.

        Args:
            transform: builds the transform for images of (height, width).
            train: whether the images are for training.
        """
        return {
            "train": train,
            "on_bad_data": self.on_bad_data,
            "transform": transform,
            "size": self.size,
            "seed": self.seed,
        }

    def as_dict(self) -> dict[str, Any]:
        """The settings in plain types, as YAML and `weights_only=True` read them."""
        return {name: _plain(value) for name, value in dataclasses.asdict(self).items()}


def _plain(value: Any) -> Any:
    if isinstance(value, Path):
        return str(value)
    return list(value) if isinstance(value, tuple) else value


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


def parse_arguments(
    recipe: type[T],
    argv: Sequence[str],
    recipes: Mapping[str, Path],
    *,
    description: str,
    recognise: Callable[[Path], tuple[str, Path]] | None = None,
) -> T:
    """A recipe from the command line: its flags over the settings of `--config` over the defaults.

    Args:
        recipe: a dataclass made of `setting`s; each is a flag, its underscores written as dashes.
        argv: the arguments, without the program's name.
        recipes: the recipe that is taken without `--config`, by `data_format`.
        description: for `--help`.
        recognise: says of a folder, where neither a data format nor `--config` is given, what its data format is and
            which recipe is taken; raises FileNotFoundError or ValueError where it cannot say.

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
    if config is None and given.get("data_format", AUTO) == AUTO and given.get("data_root") and recognise is not None:
        given["data_format"], config = recognise(given["data_root"])
    if config is None:
        data_format = given.get("data_format", AUTO)
        config = recipes["shapes" if data_format == AUTO else data_format]
    return recipe(**read_settings(recipe, config) | given)


def _listed(recipes: Mapping[str, Path]) -> str:
    return ", ".join(f"{path.name} for {data_format}" for data_format, path in recipes.items())


def _fields(recipe: type) -> dict[str, Any]:
    """Name to type of each setting."""
    return typing.get_type_hints(recipe)


def _add_flag(parser: argparse.ArgumentParser, field: "dataclasses.Field[Any]", kind: Any) -> None:
    flag = "--" + field.name.replace("_", "-")
    text = f"{field.metadata['help']} (default {field.default})".replace("%", "%%")
    kind = _without_none(kind)
    if kind is bool:
        parser.add_argument(flag, action=argparse.BooleanOptionalAction, default=None, help=text)
    elif typing.get_origin(kind) is tuple:
        count = "+" if typing.get_args(kind)[-1] is Ellipsis else len(typing.get_args(kind))
        parser.add_argument(flag, nargs=count, default=None, help=text, metavar="VALUE")
    else:
        choices = typing.get_args(kind) if typing.get_origin(kind) is typing.Literal else None
        metavar = "{" + ",".join(choices) + "}" if choices else "VALUE"
        parser.add_argument(flag, default=None, help=text, metavar=metavar)


def _options(kind: Any) -> tuple[Any, ...]:
    return typing.get_args(kind) if typing.get_origin(kind) in (typing.Union, types.UnionType) else (kind,)


def _without_none(kind: Any) -> Any:
    """The type of a setting that may be None, or of another one."""
    (only,) = [option for option in _options(kind) if option is not type(None)]
    return only


def _convert(value: Any, kind: Any, *, where: str = "") -> Any:
    """A value of a YAML file or of the command line as a field's type.

    Raises:
        ValueError: if it is none; `where` goes before the message.
    """
    prefix = f"{where}: " if where else ""
    word = value[0] if isinstance(value, list) and len(value) == 1 else value  # a flag of several values has a list
    if type(None) in _options(kind) and (word is None or (isinstance(word, str) and word.lower() in _NONE_WORDS)):
        return None
    kind = _without_none(kind)
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
