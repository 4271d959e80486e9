"""What lies in a folder, but for what the system and editors put there."""

from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

from mvdet.data.io.images import IMAGE_SUFFIXES


def is_hidden(name: str) -> bool:
    """Whether a file or folder is the system's or an editor's: `.ipynb_checkpoints`, `__MACOSX`, `._picture.jpg`."""
    return name.startswith(".") or name in ("__MACOSX", "__pycache__", "Thumbs.db", "desktop.ini")


def visible(folder: Path) -> list[Path]:
    """What lies in a folder, sorted by name, without what is hidden; nothing where it is no folder."""
    return sorted(path for path in folder.iterdir() if not is_hidden(path.name)) if folder.is_dir() else []


def files_below(folder: Path, suffixes: Sequence[str]) -> list[Path]:
    """Files with one of the suffixes (in lower case) at any depth, sorted, without what is hidden."""
    return sorted(
        path
        for path in folder.rglob("*")
        if path.suffix.lower() in suffixes
        and not any(map(is_hidden, path.relative_to(folder).parts))
        and path.is_file()
    )


def images_below(folder: Path) -> list[Path]:
    """The images of a folder at any depth, sorted, without what is hidden."""
    return files_below(folder, IMAGE_SUFFIXES)


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
