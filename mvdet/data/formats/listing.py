"""Looking around in folders: what lies in one, what is called so, whether something of a kind is in it."""

from collections.abc import Callable, Iterable
from pathlib import Path

from mvdet.data.io.images import IMAGE_SUFFIXES
from mvdet.data.io.listing import is_hidden, visible_files


def visible(folder: Path) -> list[Path]:
    """What lies in a folder, sorted by name, without what is hidden; nothing where it is no folder."""
    return sorted(path for path in folder.iterdir() if not is_hidden(path.name)) if folder.is_dir() else []


def images_below(folder: Path) -> list[Path]:
    """The images of a folder at any depth, sorted, without what is hidden."""
    return visible_files(folder, IMAGE_SUFFIXES)


def holds(folder: Path, is_one: Callable[[Path], bool], *, depth: int = 2) -> bool:
    """Whether a file for which `is_one` is true lies in a folder, or so many folders deep in it."""
    entries = visible(folder)
    if any(is_one(path) for path in entries if path.is_file()):
        return True
    return depth > 0 and any(holds(path, is_one, depth=depth - 1) for path in entries if path.is_dir())


def is_image(file: Path) -> bool:
    """Whether a file's name says that it is an image."""
    return file.suffix.lower() in IMAGE_SUFFIXES


def child(folder: Path, names: Iterable[str]) -> Path | None:
    """The first sub-folder that bears one of the names, in any case."""
    folders = {path.name.lower(): path for path in visible(folder) if path.is_dir()}
    return next((folders[name.lower()] for name in names if name.lower() in folders), None)
