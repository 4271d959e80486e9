"""Read image files, and notice the broken ones."""

import os
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from mvdet.data.io.decoders import UndecodableError, decode_with_pillow
from mvdet.data.io.faults import BadItemError, Fault
from mvdet.data.io.listing import is_no_file
from mvdet.data.io.orientation import STORED, exif_orientation, is_doubtful, is_turned, turned, upright_size

_JPEG_START, _JPEG_END = b"\xff\xd8", b"\xff\xd9"
_JPEG_SCAN = 0xDA
_JPEG_EXIF, _EXIF_START = 0xE1, b"Exif\0\0"
_JPEG_FRAMES = {*range(0xC0, 0xD0)} - {0xC4, 0xC8, 0xCC}  # ITU-T T.81, table B.1: SOF0 to SOF15
_PNG_START, _PNG_END = b"\x89PNG\r\n\x1a\n", b"IEND\xaeB`\x82"
_HEAD_BYTES = 65_536

IMAGE_SUFFIXES = (
    *(".avif", ".bmp", ".gif", ".heic", ".heif", ".jfif", ".jp2", ".jpe", ".jpeg", ".jpg", ".mpo"),
    *(".pbm", ".pgm", ".png", ".ppm", ".tif", ".tiff", ".webp"),
)
"""Suffixes of the files in a folder that are taken for images; HEIC is decoded where pillow-heif is installed."""


class BadImageError(BadItemError):
    """An image or a mask that cannot be used."""


def read_image(file: str | Path, annotated: tuple[int, int] | None = None) -> NDArray[np.uint8]:
    """Decode an image file, upright as `mvdet.data.io.orientation` has it.

    Args:
        file: the image.
        annotated: `(width, height)` in pixels, which tells whether annotations count the stored or the upright pixels;
            None where there are none.

    Returns:
        [H, W, 3] uint8 RGB; grey becomes three equal channels, transparency is dropped, 16 bits become 8; of several
        frames the first.

    Raises:
        BadImageError: no such file, or one that is no image or cut short.
    """
    pixels, orientation = _read_stored(file)
    stored = pixels.shape[1], pixels.shape[0]
    return turned(pixels, orientation) if is_turned(orientation, stored, annotated) else pixels


def _read_stored(file: str | Path) -> tuple[NDArray[np.uint8], int]:
    """The pixels as they are stored, and the orientation; raises as `read_image`."""
    try:
        data = Path(file).read_bytes()
    except OSError as error:
        raise _missing(file, error) from error
    if not data:
        raise BadImageError(Fault.UNREADABLE_IMAGE, f"{file}: the file is empty")
    # OpenCV fills what is missing of a JPEG with grey and says nothing
    if _is_cut_short(data):
        raise BadImageError(Fault.UNREADABLE_IMAGE, f"{file}: the file is cut short ({len(data)} bytes, no end mark)")
    if data.startswith((_JPEG_START, _PNG_START)):
        image = _decode_with_opencv(data)
        if image is not None:
            return image, _orientation(data)
    try:
        return decode_with_pillow(data)
    except UndecodableError as error:
        raise BadImageError(Fault.UNREADABLE_IMAGE, f"{file}: {error}") from error


def _missing(file: str | Path, error: OSError) -> OSError | BadImageError:
    """What to raise where a file cannot be opened."""
    return BadImageError(Fault.MISSING_IMAGE, f"{file}: no such file") if is_no_file(error) else error


def _decode_with_opencv(data: bytes) -> NDArray[np.uint8] | None:
    """[H, W, 3] RGB; None where OpenCV cannot, or will not (beyond its limit of pixels)."""
    try:
        image: NDArray[np.uint8] | None = cv2.imdecode(
            np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR | cv2.IMREAD_IGNORE_ORIENTATION
        )
    except cv2.error:
        return None
    if image is not None:
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
            f"{file}: has {found[0]} x {found[1]} pixels, but the annotations say {annotated[0]} x {annotated[1]}",
        )


def check_header(file: str | Path, annotated: tuple[int, int] | None = None) -> bool:
    """Look at an image file without decoding it: the size in its header, and whether its end is there.

    JPEG and PNG are read here; files of other formats, which are rare in data sets, are decoded.

    Args:
        file: the image.
        annotated: `(width, height)` in pixels; None if any size will do.

    Returns:
        Whether the picture is turned by its EXIF orientation where its annotations may count it unturned.

    Raises:
        BadImageError: no such file, not an image, cut short, or of another size.
    """
    stored, orientation = _stored_size(file)
    if annotated is None:
        return False
    if is_turned(orientation, stored, annotated):
        check_size(file, upright_size(stored, orientation), annotated)
    else:
        check_size(file, stored, annotated)
    return is_doubtful(orientation, stored, annotated)


def image_size(file: str | Path) -> tuple[int, int]:
    """`(width, height)` in pixels of an image, upright, from its header where that tells; raises as `check_header`."""
    return upright_size(*_stored_size(file))


def _stored_size(file: str | Path) -> tuple[tuple[int, int], int]:
    """`(width, height)` of the stored pixels, and the orientation; raises as `check_header`."""
    try:
        with Path(file).open("rb") as stream:
            head = stream.read(_HEAD_BYTES)
            stream.seek(-min(len(_PNG_END), stream.seek(0, os.SEEK_END)), os.SEEK_END)
            tail = stream.read()
    except OSError as error:
        raise _missing(file, error) from error
    found = _jpeg_or_png_size(head)
    complete = tail.endswith(_PNG_END if head.startswith(_PNG_START) else _JPEG_END)
    if found is not None and complete:
        return found, _orientation(head)
    # broken, or unusual: another format, a long header, bytes behind the end
    pixels, orientation = _read_stored(file)
    return (pixels.shape[1], pixels.shape[0]), orientation


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


def _orientation(data: bytes) -> int:
    """The EXIF orientation of a JPEG or PNG file from its start."""
    if data.startswith(_PNG_START):
        return next((exif_orientation(content) for kind, content in _png_chunks(data) if kind == b"eXIf"), STORED)
    for marker, position in _jpeg_segments(data):
        start = position + 4 + len(_EXIF_START)
        if marker == _JPEG_EXIF and data[position + 4 : start] == _EXIF_START:
            return exif_orientation(
                data[start : position + 2 + int.from_bytes(data[position + 2 : position + 4], "big")]
            )
    return STORED


def _png_chunks(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Name and content of a PNG file's chunks, up to the first with pixels."""
    position = len(_PNG_START)
    while position + 8 <= len(data):
        kind, start = data[position + 4 : position + 8], position + 8
        if kind == b"IDAT":
            return
        end = start + int.from_bytes(data[position : position + 4], "big")
        yield kind, data[start:end]
        position = end + 4  # behind the checksum


def _jpeg_segments(data: bytes) -> Iterator[tuple[int, int]]:
    """Marker and position of a JPEG file's segments, up to its first scan.

    Stray bytes between segments are passed over, as libjpeg does.
    """
    position = len(_JPEG_START)
    while (position := data.find(b"\xff", position)) >= 0 and position + 4 <= len(data):
        marker = data[position + 1]
        if marker in (0x00, 0xFF):  # no marker, or a fill byte
            position += 1
            continue
        yield marker, position
        if marker == _JPEG_SCAN:
            return
        has_length = not (marker == 0x01 or 0xD0 <= marker <= 0xD9)
        position += 2 + (int.from_bytes(data[position + 2 : position + 4], "big") if has_length else 0)
