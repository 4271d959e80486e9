"""The pictures and videos that a command line names, and what their annotated copies are called."""

import glob
import math
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path, PurePath
from types import TracebackType
from typing import Self

import cv2
import numpy as np
from numpy.typing import NDArray

from mvdet.data.io.images import IMAGE_SUFFIXES
from mvdet.data.io.listing import is_hidden, visible_files

VIDEO_SUFFIXES = (".avi", ".m4v", ".mkv", ".mov", ".mp4", ".mpeg", ".mpg", ".webm", ".wmv")
"""The suffixes of files that are taken for videos; everything else that is named is opened as an image."""

_SUFFIXES = (*IMAGE_SUFFIXES, *VIDEO_SUFFIXES)
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
            files = [file for file in visible_files(path, _SUFFIXES) if not _is_inside(file, output, path)]
        elif path.exists():
            files = [path]
        elif glob.has_magic(str(source)):
            files = _of_pattern(path)
        else:
            raise FileNotFoundError(f"source not found: {source}")
        if not files:
            allowed = ", ".join(_SUFFIXES)
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
    """What the mask of each file is called: a PNG file in `folder`, named as the file's copy is.

    A video has a folder there for the masks of its frames. No mask is called like a copy.

    Args:
        names: the copy of each file, of `output_names`.
        folder: its name, relative to the output folder.
    """
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
    """The path without `..`, and without following links, which would lose the names that the user sees."""
    return Path(os.path.normpath(file.absolute()))


def _of_pattern(pattern: Path) -> list[Path]:
    anchor = Path(pattern.anchor)  # Path.glob takes relative patterns only
    fixed = next(n for n, part in enumerate(pattern.parts) if glob.has_magic(part))
    files = (file for file in anchor.glob(str(pattern.relative_to(anchor))) if _is_picture(file))
    return sorted(file for file in files if not is_hidden(PurePath(*file.parts[fixed:])))


def _is_picture(path: Path) -> bool:
    return path.suffix.lower() in _SUFFIXES and path.is_file()


def _is_inside(file: Path, output: Path, folder: Path) -> bool:
    """Whether a file lies in the output folder, where that lies in `folder` and is not `folder` itself."""
    inner = output.resolve()
    return inner.is_relative_to(folder.resolve()) and inner != folder.resolve() and file.resolve().is_relative_to(inner)


def _suffix(file: Path) -> str:
    if is_video(file):
        return ".mp4"
    return file.suffix if file.suffix.lower() in _WRITTEN_AS_THEY_ARE else ".png"


_FEWEST_FRAMES = 0.9  # of those that the header says there are, which for some formats is an estimate


class BadVideoError(ValueError):
    """A video that cannot be read, or not to its end."""


class VideoReader:
    """The frames of a video, upright, as [H, W, 3] uint8 RGB; to be gone through once.

    Args:
        file: in any format that OpenCV's FFmpeg reads.

    Attributes:
        file: as given.
        fps: frames per second.

    Raises:
        BadVideoError: no video that OpenCV can read, or one that does not say its frame rate. Going through the frames
            raises it at the end where there are far fewer than the file says.
    """

    def __init__(self, file: Path) -> None:
        self.file = file
        self._capture = cv2.VideoCapture(str(file))
        if not self._capture.isOpened():
            raise BadVideoError(f"{file}: not a video that OpenCV can read")
        self.fps = float(self._capture.get(cv2.CAP_PROP_FPS))
        if not (math.isfinite(self.fps) and self.fps > 0):
            raise BadVideoError(f"{file}: does not say how many frames a second it has, got {self.fps}")

    def __iter__(self) -> Iterator[NDArray[np.uint8]]:
        said, count = int(self._capture.get(cv2.CAP_PROP_FRAME_COUNT)), 0
        try:
            while True:
                good, frame = self._capture.read()
                if not good:
                    break
                count += 1
                yield cv2.cvtColor(frame, cv2.COLOR_BGR2RGB)
        finally:
            self._capture.release()
        if count == 0 or count < _FEWEST_FRAMES * said:
            raise BadVideoError(f"{self.file}: ends after {count} of {max(said, 0)} frames")


class VideoWriter:
    """Writes an mp4 file (MPEG-4 part 2, without sound).

    The format holds even sides only: the last column or row of frames with an odd one is left out.

    Args:
        file: ends in `.mp4`; its folder exists.
        fps: frames per second.
        width, height: of the frames in pixels.

    Raises:
        OSError: the file cannot be written.
    """

    def __init__(self, file: Path, fps: float, width: int, height: int) -> None:
        self._writer = cv2.VideoWriter(str(file), cv2.VideoWriter.fourcc(*"mp4v"), fps, (width, height))
        if not self._writer.isOpened():
            raise OSError(
                f"{file}: OpenCV cannot write a video of {width} x {height} pixels at {fps:g} frames a second"
            )

    def write(self, frame: NDArray[np.uint8]) -> None:
        """Add a frame, [H, W, 3] uint8 RGB."""
        self._writer.write(cv2.cvtColor(frame, cv2.COLOR_RGB2BGR))

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._writer.release()
