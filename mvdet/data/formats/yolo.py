"""YOLO's layout: the `data.yaml` that `yolo train` takes, or images and labels with a file of class names."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from mvdet.data.formats.layout import Place, Recognised, paired_splits, recognised
from mvdet.data.formats.listing import visible
from mvdet.data.formats.masks import read_class_names
from mvdet.data.io.text import read_text
from mvdet.wording import listed

_YAML = (".yaml", ".yml")
_LABELS = ("labels", "label", "obj_train_data")
_CLASS_FILES = ("classes.txt", "obj.names", "data/obj.names", "labels/classes.txt", "_darknet.labels")
_LEAST_NUMBERS = 5
_LONGEST_LINE = 65_536
_SPLITS = ("train", "val", "test")


def find_yolo(root: Path) -> Recognised | None:
    """The data set of a `data.yaml`; or of images and labels with `classes.txt`; None where there is neither.

    Args:
        root: the folder, or the YAML file itself.

    Raises:
        FileNotFoundError: what the YAML file names is not there.
        ValueError: the YAML file is none, or says what cannot be; several of them in the folder.
    """
    files = [root] if root.is_file() else [path for path in visible(root) if path.suffix.lower() in _YAML]
    contents = {file: content for file in files if (content := _read(file, strict=file == root)) is not None}
    if len(contents) > 1:
        named = {file: content for file, content in contents.items() if file.stem in ("data", "dataset", root.name)}
        contents = named if len(named) == 1 else contents
    if len(contents) > 1:
        raise ValueError(f"{root}: which of {listed(file.name for file in contents)}? Give the file as --data-root")
    for file, content in contents.items():
        return _of_yaml(root, file, content)
    return None if root.is_file() else _of_class_file(root)


def _of_class_file(root: Path) -> Recognised | None:
    """LabelImg's, Label Studio's and CVAT's exports, which have a list of classes and no YAML file."""
    files = [file for name in _CLASS_FILES if (file := root / name).is_file()]
    if not files:
        return None
    splits = paired_splits(root, _LABELS, is_label)
    if not splits:
        return None
    return recognised(root, "yolo", splits, class_names=read_class_names(files[0]))


def is_label(file: Path) -> bool:
    """Whether a file's first line is one of numbers, a class and a box at least."""
    if file.suffix.lower() != ".txt":
        return False
    with file.open("rb") as stream:
        words = stream.readline(_LONGEST_LINE).split()
    try:
        return len([float(word) for word in words]) >= _LEAST_NUMBERS
    except ValueError:
        return False


def _read(file: Path, *, strict: bool) -> Mapping[str, Any] | None:
    """The content of a YAML file that describes a data set; None, or an error if `strict`, for another."""
    try:
        content = yaml.safe_load(read_text(file))
    except (yaml.YAMLError, ValueError, RecursionError) as error:  # ValueError: not text, or a date that is none
        if strict or file.stem == "data":
            what = " ".join(str(error).split()).removeprefix(f"{file}: ")
            raise ValueError(f"{file}: not YAML: {what}") from error
        return None
    if isinstance(content, Mapping) and "train" in content and ("names" in content or "nc" in content):
        return content
    if strict:
        keys = listed(content) if isinstance(content, Mapping) else type(content).__name__
        raise ValueError(f"{file}: a YOLO data set has the keys train, val and names; found {keys}")
    return None


def _of_yaml(root: Path, file: Path, content: Mapping[str, Any]) -> Recognised:
    if "kpt_shape" in content:
        raise ValueError(f"{file}: a data set of key points (kpt_shape), whose rows are no boxes; not understood")
    names = _class_names(file, content)
    base = _base(file, content)
    splits: dict[str, tuple[Place, ...]] = {}
    for split in _SPLITS:
        entries = content.get(split)
        if not entries:
            continue
        entries = entries if isinstance(entries, list) else [entries]
        if not all(isinstance(entry, str) for entry in entries):
            raise ValueError(f"{file}: {split} must be a path or a list of paths, got {entries}")
        found = [_place(base, entry) for entry in entries]
        missing = [entry for entry, place in zip(entries, found, strict=True) if place is None]
        if missing and split != "test":  # many files name a test set that did not come with them
            raise FileNotFoundError(f"{file}: {split}: {listed(missing)} is not there; looked in {listed(base)}")
        if not missing:
            splits[split] = tuple(place for place in found if place is not None)
    if "train" not in splits:
        raise ValueError(f"{file}: train is empty")
    return recognised(root, "yolo", splits, class_names=names)


def _base(file: Path, content: Mapping[str, Any]) -> list[Path]:
    """The folders that a YAML file's paths may be relative to, the likeliest first."""
    folder, path = file.parent, content.get("path")
    if path is None or path == "":
        return [folder]
    if not isinstance(path, str):
        raise ValueError(f"{file}: path must be a text, got {path!r}")
    named = Path(path).expanduser()
    # relative to the file, to where the user stands and to ultralytics' folder of data sets; moved since, to the file
    return list(dict.fromkeys([folder / named, named.absolute(), Path("datasets").absolute() / named, folder]))


def _place(base: Sequence[Path], entry: str) -> Place | None:
    """A folder of images or a list of them; an export's `../train` may mean `train` beside the file."""
    ways = [entry, entry.removeprefix("../")] if entry.startswith("../") else [entry]
    for path in (folder / Path(way).expanduser() for way in ways for folder in base):
        if path.is_dir():
            return Place(path.resolve())
        if path.is_file():
            return Place(next((one for one in base if one.is_dir()), path.parent).resolve(), names=path.resolve())
    return None


def _class_names(file: Path, content: Mapping[str, Any]) -> tuple[str, ...]:
    names, count = content.get("names"), content.get("nc")
    if names is None:
        if type(count) is not int or count < 1:
            raise ValueError(f"{file}: names is missing, and nc must be a number of 1 or more, got {count!r}")
        return tuple(f"class{number}" for number in range(count))
    if isinstance(names, Mapping):
        try:
            numbered = {int(number): name for number, name in names.items()}
        except (TypeError, ValueError):
            raise ValueError(f"{file}: the keys of names must be class numbers, got {listed(names)}") from None
        if sorted(numbered) != list(range(len(numbered))):
            raise ValueError(
                f"{file}: the class numbers of names must be 0 to {len(names) - 1}, got {listed(numbered)}"
            )
        names = [numbered[number] for number in range(len(numbered))]
    if not isinstance(names, list) or not names or any(isinstance(name, list | dict) or name is None for name in names):
        raise ValueError(f"{file}: names must be a list, or a map from class numbers to names, got {names!r}")
    if count is not None and count != len(names):
        raise ValueError(f"{file}: nc is {count!r}, but names has {len(names)}: {listed(names)}")
    texts = tuple(str(name) for name in names)
    if len(set(texts)) < len(texts):
        raise ValueError(f"{file}: names holds a name twice: {listed(texts)}")
    return texts
