"""The pictures and videos that a command line names, and what their annotated copies are called."""

from __future__ import annotations

import glob
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path, PurePath

from mvdet.data.image_files import IMAGE_SUFFIXES

VIDEO_SUFFIXES = (".avi", ".m4v", ".mkv", ".mov", ".mp4", ".mpeg", ".mpg", ".webm", ".wmv")
"""Of the files that are taken for videos; everything else that is named is opened as an image."""

_WRITTEN_AS_THEY_ARE = (".jpeg", ".jpg", ".png", ".webp")


def is_video(file: Path) -> bool:
    """Whether a file is a video, by its suffix."""
    return file.suffix.lower() in VIDEO_SUFFIXES


def find_files(sources: Iterable[str | Path], *, output: Path) -> list[Path]:
    """The files that sources name, each once, in the order of the sources; a folder's and a pattern's are sorted.

    Args:
        sources: a file, whatever its suffix; a folder, searched to its depths for images and videos by their suffixes,
            without hidden files; or a pattern with `*`, `?`, `[...]` or `**`.
        output: a folder whose files are left out of a folder that holds it: earlier results are no sources.

    Raises:
        FileNotFoundError: a source is not there, or a folder or pattern has no image and no video; names it.
    """
    found: dict[str, Path] = {}
    for source in sources:
        path = Path(source).expanduser()
        if path.is_dir():
            files = [file for file in _in_folder(path) if not _is_inside(file, output, path)]
        elif path.exists():
            files = [path]
        elif glob.has_magic(str(source)):
            anchor = Path(path.anchor)  # Path.glob takes relative patterns only
            files = sorted(file for file in anchor.glob(str(path.relative_to(anchor))) if _is_picture(file))
        else:
            raise FileNotFoundError(f"source not found: {source}")
        if not files:
            allowed = ", ".join((*IMAGE_SUFFIXES, *VIDEO_SUFFIXES))
            raise FileNotFoundError(f"{source}: no image and no video; looked for files ending in {allowed}")
        for file in files:
            found.setdefault(str(_absolute(file)), file)
    return list(found.values())


def output_names(files: Sequence[Path]) -> dict[Path, PurePath]:
    """What the annotated copy of each file is called, relative to the output folder; no two alike on any disk.

    Copies keep the folders below the deepest one that holds all files. Videos become `.mp4`; JPEG, PNG and WebP stay
    what they are, other images become `.png`. Where two would meet, `-2`, `-3` ... goes before the suffix.
    """
    if not files:
        return {}
    absolute = [_absolute(file) for file in files]
    top = os.path.commonpath([file.parent for file in absolute])
    wanted = (PurePath(path.relative_to(top)).with_suffix(_suffix(path)) for path in absolute)
    return dict(zip(files, _no_two_alike(wanted, []), strict=True))


def mask_names(names: Mapping[Path, PurePath], folder: str) -> dict[Path, PurePath]:
    """What the mask of each file is called, as `output_names` calls its copy: a PNG file in `folder`; of a video, a
    folder there for those of its frames. None is called like a copy."""
    wanted = (PurePath(folder, name).with_suffix("" if name.suffix == ".mp4" else ".png") for name in names.values())
    return dict(zip(names, _no_two_alike(wanted, names.values()), strict=True))


def _no_two_alike(names: Iterable[PurePath], others: Iterable[PurePath]) -> Iterator[PurePath]:
    """The names, with a number where one is called like one before it or one of `others`, on any disk."""
    taken = {str(name).casefold() for name in others}
    for wanted in names:
        name, number = wanted, 1
        while str(name).casefold() in taken:
            number += 1
            name = wanted.with_stem(f"{wanted.stem}-{number}")
        taken.add(str(name).casefold())
        yield name


def check_not_overwritten(files: Iterable[Path], targets: Iterable[Path]) -> None:
    """Refuse an output folder in which a copy would take the place of its own or another original.

    Raises:
        ValueError: names the file.
    """
    originals = {os.path.realpath(file) for file in files}
    for target in targets:
        if os.path.realpath(target) in originals:
            raise ValueError(f"{target}: the output would overwrite this source; choose another output folder")


def _absolute(file: Path) -> Path:
    """Without `..`, and without following links, which would lose the names that the user sees."""
    return Path(os.path.normpath(file.absolute()))


def _in_folder(folder: Path) -> list[Path]:
    files = (path for path in folder.rglob("*") if _is_picture(path))
    return sorted(file for file in files if not any(part.startswith(".") for part in file.relative_to(folder).parts))


def _is_picture(path: Path) -> bool:
    return path.suffix.lower() in (*IMAGE_SUFFIXES, *VIDEO_SUFFIXES) and path.is_file()


def _is_inside(file: Path, output: Path, folder: Path) -> bool:
    """Whether a file lies in the output folder, where that lies in `folder` and is not `folder` itself."""
    inner = output.resolve()
    return inner.is_relative_to(folder.resolve()) and inner != folder.resolve() and file.resolve().is_relative_to(inner)


def _suffix(file: Path) -> str:
    if is_video(file):
        return ".mp4"
    return file.suffix if file.suffix.lower() in _WRITTEN_AS_THEY_ARE else ".png"
