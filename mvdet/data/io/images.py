"""Read image files, and notice the broken ones."""

import os
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from mvdet.data.io.faults import Fault

_JPEG_START, _JPEG_END = b"\xff\xd8", b"\xff\xd9"
_JPEG_SCAN = 0xDA
_JPEG_FRAMES = {*range(0xC0, 0xD0)} - {0xC4, 0xC8, 0xCC}  # ITU-T T.81, table B.1: SOF0 to SOF15
_PNG_START, _PNG_END = b"\x89PNG\r\n\x1a\n", b"IEND\xaeB`\x82"
_HEAD_BYTES = 65_536

IMAGE_SUFFIXES = (".bmp", ".jp2", ".jpeg", ".jpg", ".pgm", ".png", ".ppm", ".tif", ".tiff", ".webp")
"""Suffixes of the files in a folder that are taken for images: formats that OpenCV decodes on every platform."""


class BadImageError(ValueError):
    """An image that cannot be used.

    Attributes:
        fault: what it is counted under.
    """

    def __init__(self, fault: Fault, message: str) -> None:
        super().__init__(message)
        self.fault = fault


def read_image(file: str | Path, *, upright: bool = False) -> NDArray[np.uint8]:
    """Decode an image file.

    Args:
        file: the image.
        upright: apply the EXIF orientation, as viewers do. COCO's and VOC's annotations count the stored pixels, and so
            do pycocotools and torchvision's data sets: whatever has to do with annotations must not apply it.

    Returns:
        [H, W, 3] uint8 RGB; grey becomes three equal channels, transparency is dropped, 16 bits become 8.

    Raises:
        BadImageError: no such file, or one that is no image or cut short.
    """
    try:
        data = Path(file).read_bytes()
    except FileNotFoundError as error:
        raise BadImageError(Fault.MISSING_IMAGE, f"{file}: no such file") from error
    if not data:
        raise BadImageError(Fault.UNREADABLE_IMAGE, f"{file}: the file is empty")
    # OpenCV fills what is missing of a JPEG with grey and says nothing
    if _is_cut_short(data):
        raise BadImageError(Fault.UNREADABLE_IMAGE, f"{file}: the file is cut short ({len(data)} bytes, no end mark)")
    flags = cv2.IMREAD_COLOR | (0 if upright else cv2.IMREAD_IGNORE_ORIENTATION)
    try:
        image: NDArray[np.uint8] | None = cv2.imdecode(np.frombuffer(data, np.uint8), flags)
    except cv2.error as error:  # it raises for sizes beyond its limit, and returns None for everything else
        raise BadImageError(Fault.UNREADABLE_IMAGE, f"{file}: OpenCV refuses it: {error}") from error
    if image is None:
        raise BadImageError(Fault.UNREADABLE_IMAGE, f"{file}: not an image that OpenCV can decode")
    cv2.cvtColor(image, cv2.COLOR_BGR2RGB, dst=image)
    return image


def check_size(file: str | Path, found: tuple[int, int], annotated: tuple[int, int]) -> None:
    """Compare two sizes `(width, height)` in pixels.

    Raises:
        BadImageError: they differ: the boxes would lie elsewhere.
    """
    if found != annotated:
        raise BadImageError(
            Fault.OTHER_SIZE,
            f"{file}: has {found[0]} x {found[1]} pixels (EXIF orientation not applied), "
            f"but the annotations say {annotated[0]} x {annotated[1]}",
        )


def check_header(file: str | Path, annotated: tuple[int, int] | None = None) -> None:
    """Look at an image file without decoding it: the size in its header, and whether its end is there.

    JPEG and PNG are read here; files of other formats, which are rare in data sets, are decoded. (Pillow would read all
    their headers, but once ultralytics is imported, its `Image.open` installs a package when it meets a broken file.)

    Args:
        file: the image.
        annotated: `(width, height)` in pixels; None if any size will do.

    Raises:
        BadImageError: no such file, not an image, cut short, or of another size.
    """
    found = image_size(file)
    if annotated is not None:
        check_size(file, found, annotated)


def image_size(file: str | Path) -> tuple[int, int]:
    """`(width, height)` in pixels of an image, from its header where that tells; raises as `check_header`."""
    try:
        with Path(file).open("rb") as stream:
            head = stream.read(_HEAD_BYTES)
            stream.seek(-min(len(_PNG_END), stream.seek(0, os.SEEK_END)), os.SEEK_END)
            tail = stream.read()
    except FileNotFoundError as error:
        raise BadImageError(Fault.MISSING_IMAGE, f"{file}: no such file") from error
    found = _jpeg_or_png_size(head)
    complete = tail.endswith(_PNG_END if head.startswith(_PNG_START) else _JPEG_END)
    if found is None or not complete:  # broken, or unusual: another format, a long header, bytes behind the end
        height, width, _ = read_image(file).shape
        return width, height
    return found


def _is_cut_short(data: bytes) -> bool:
    """Whether a JPEG or PNG file has lost its end; False for every other format.

    In a JPEG file, an end mark before the first scan belongs to a thumbnail inside a header segment; within a scan the
    two bytes cannot occur (ITU-T T.81, B.1.1.5: 0xFF is followed by 0x00).
    """
    if data.startswith(_PNG_START):
        return _PNG_END not in data
    if not data.startswith(_JPEG_START):
        return False
    scan = next((position for marker, position in _jpeg_segments(data) if marker == _JPEG_SCAN), len(data))
    return data.rfind(_JPEG_END) < scan


def _jpeg_or_png_size(data: bytes) -> tuple[int, int] | None:
    """`(width, height)` in pixels from the start of a file; None where it does not tell."""
    if data.startswith(_PNG_START) and len(data) >= 24:
        return int.from_bytes(data[16:20], "big"), int.from_bytes(data[20:24], "big")
    if not data.startswith(_JPEG_START):
        return None
    for marker, position in _jpeg_segments(data):
        if marker in _JPEG_FRAMES and len(data) >= position + 9:
            height, width = (int.from_bytes(data[position + at : position + at + 2], "big") for at in (5, 7))
            return (width, height) if height else None  # 0: it follows the first scan
    return None


def _jpeg_segments(data: bytes) -> Iterator[tuple[int, int]]:
    """Marker and position of a JPEG file's segments, up to its first scan."""
    position = len(_JPEG_START)
    while position + 4 <= len(data) and data[position] == 0xFF:
        marker = data[position + 1]
        if marker == 0xFF:  # fill byte
            position += 1
            continue
        yield marker, position
        if marker == _JPEG_SCAN:
            return
        has_length = not (marker == 0x01 or 0xD0 <= marker <= 0xD8)
        position += 2 + (int.from_bytes(data[position + 2 : position + 4], "big") if has_length else 0)
