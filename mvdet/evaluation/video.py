"""Videos, frame by frame, in and out."""

from __future__ import annotations

import math
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType

import cv2
import numpy as np
from numpy.typing import NDArray

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

    def __enter__(self) -> VideoWriter:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._writer.release()
