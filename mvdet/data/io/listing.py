"""Files in folders, without those that no one put there: hidden ones, and what systems leave behind."""

import errno
import os
from collections.abc import Collection, Iterator
from pathlib import Path, PurePath

_NO_SUCH_FILE = {errno.ENOENT, errno.ENOTDIR, errno.EISDIR, errno.ENAMETOOLONG}
_LITTER = {"__macosx"}  # of archives packed on a Mac: `._NAME` beside it is hidden by its name


def is_hidden(path: str | PurePath) -> bool:
    """Whether a file or folder in a folder that was asked for is not meant to be data, by its path from there.

    That is what starts with a dot (`.ipynb_checkpoints`, `._img.jpg`), `__MACOSX`, and all that lies within.
    """
    return any(part.startswith(".") or part.casefold() in _LITTER for part in PurePath(path).parts)


def is_file(path: str | PurePath) -> bool:
    """Whether there is such a file; there is none of a name that no file can have."""
    return os.path.isfile(path)  # noqa: PTH113  (`Path.is_file` raises for names that are too long)


def is_no_file(error: OSError) -> bool:
    """Whether opening failed because there is no file of that name, nor can be.

    That is a fault of the list or the annotation that names the file; other errors are trouble of the system.
    """
    return error.errno in _NO_SUCH_FILE


def visible_files(folder: Path, suffixes: Collection[str]) -> list[Path]:
    """The files in a folder, at any depth, that end in one of the suffixes (lower case) and are not hidden; sorted.

    Links to folders are followed, each folder once.
    """
    return sorted(Path(path) for path in _walk(folder) if os.path.splitext(path)[1].lower() in suffixes)  # noqa: PTH122


def _walk(folder: Path) -> Iterator[str]:
    seen: set[str] = set()
    for parent, folders, files in os.walk(folder, followlinks=True):
        real = os.path.realpath(parent)
        if real in seen:
            folders.clear()
            continue
        seen.add(real)
        folders[:] = [name for name in folders if not is_hidden(name)]
        yield from (os.path.join(parent, name) for name in files if not is_hidden(name))  # noqa: PTH118
