"""Finding the images that an annotation file names, however the tool wrote their paths."""

import re
from functools import cached_property
from pathlib import Path
from urllib.parse import unquote

from mvdet.data.formats.listing import images_below
from mvdet.data.io.listing import is_file

_UPLOAD = re.compile(r"[0-9a-f]{8}-(?=.)")  # what Label Studio puts before the name of an uploaded file


class ImageNames:
    """The images of a folder by the names that annotation files give them.

    Args:
        folder: that the names are relative to.
        deep: look at every depth for a name that is not where it says.
    """

    def __init__(self, folder: Path, *, deep: bool = True) -> None:
        self.folder = folder
        self._deep = deep

    def find(self, name: str) -> Path | None:
        r"""The file that a name means; None where there is none, or where several are meant alike.

        Looked for, in this order: the name as it stands; with `\` for `/`, without an URL's escapes and what stands
        before `?d=`; without its first folders, one after the other; anywhere in the folder by its last part; and the
        same without the upload's mark (`1a2b3c4d-`), or with one.
        """
        if is_file(file := self.folder / name):
            return file
        parts = [part for part in _plain(name).split("/") if part not in ("", ".", "..")]
        if not parts:
            return None
        for start in range(len(parts)):
            if is_file(file := self.folder.joinpath(*parts[start:])):
                return file
        last = parts[-1]
        bare = _UPLOAD.sub("", last, count=1)
        if bare != last and is_file(self.folder / bare):
            return self.folder / bare
        if not self._deep:
            return None
        return self._only(self._by_name, last) or self._only(self._by_name, bare) or self._only(self._by_bare, bare)

    @staticmethod
    def _only(files: dict[str, list[Path]], name: str) -> Path | None:
        found = files.get(name, [])
        return found[0] if len(found) == 1 else None

    @cached_property
    def _by_name(self) -> dict[str, list[Path]]:
        files: dict[str, list[Path]] = {}
        for path in images_below(self.folder):
            files.setdefault(path.name, []).append(path)
        return files

    @cached_property
    def _by_bare(self) -> dict[str, list[Path]]:
        files: dict[str, list[Path]] = {}
        for name, paths in self._by_name.items():
            files.setdefault(_UPLOAD.sub("", name, count=1), []).extend(paths)
        return files


def _plain(name: str) -> str:
    return unquote(name.rpartition("?d=")[2]).replace("\\", "/")
