"""Pictures that are neither JPEG nor PNG, and those of these two that OpenCV does not decode: by Pillow's plug-ins.

Not through `PIL.Image.open`: once ultralytics is imported, a function stands in its place that installs packages when
it meets a file that it cannot read.
"""

from functools import cache
from importlib.util import find_spec
from io import BytesIO
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps

from mvdet.data.io.orientation import STORED, turned_back

_KINDS = ("JPEG", "PNG", "BMP", "WEBP", "TIFF", "GIF", "AVIF", "HEIF", "JPEG2000", "PPM")
_NEEDS = {"AVIF": "AVIF needs Pillow 11.3 or newer", "HEIF": "HEIC needs the package pillow-heif"}
_BRANDS = {b"avif": "AVIF", b"avis": "AVIF", b"heic": "HEIF", b"heix": "HEIF", b"heim": "HEIF", b"heis": "HEIF"}
_BRANDS |= {b"hevc": "HEIF", b"hevx": "HEIF", b"mif1": "HEIF", b"msf1": "HEIF"}
_MAX_PIXELS = 1 << 30  # OpenCV's own limit
_ORIENTATION_TAG = 0x0112


class UndecodableError(ValueError):
    """No picture, or one that cannot be decoded; the message says why, without the file."""


def decode_with_pillow(data: bytes) -> tuple[NDArray[np.uint8], int]:
    """Pixels as they are stored, [H, W, 3] uint8 RGB, and the EXIF orientation; of several frames the first.

    Transparency is dropped, and what it hid shows, as with OpenCV and torchvision. Grey becomes three equal channels.
    Of 16 bits the upper eight are kept, so that the whole range is scaled; 32 bits have no range to scale, and are
    refused.

    Raises:
        UndecodableError: as it says.
    """
    brand = _BRANDS.get(data[8:12]) if data[4:8] == b"ftyp" else None
    if brand is not None and brand not in _plugins():
        raise UndecodableError(_NEEDS[brand])
    try:
        picture = _open(data)
        if picture is None:
            raise UndecodableError(f"not an image of a kind that is decoded here: {', '.join(_KINDS)}")
        if picture.width * picture.height > _MAX_PIXELS:
            raise UndecodableError(f"{picture.width} x {picture.height} pixels, allowed are {_MAX_PIXELS} in all")
        orientation = int(picture.getexif().get(_ORIENTATION_TAG, STORED))
        picture.load()
        # TIFF files are turned by `load` already
        upright = _rgb(ImageOps.exif_transpose(picture), whole_range=picture.format == "TIFF")
    except UndecodableError:
        raise
    except Exception as error:  # a malformed field makes plug-ins raise nearly anything
        raise UndecodableError(f"broken or cut short ({type(error).__name__}: {error})") from error
    return turned_back(upright, orientation), orientation


@cache
def _plugins() -> dict[str, Any]:
    """Pillow's opener and its test of a file's start, by kind."""
    Image.init()
    if find_spec("pillow_heif") is not None:
        from pillow_heif import register_heif_opener  # an optional package

        register_heif_opener()
    return {kind: Image.OPEN[kind] for kind in _KINDS if kind in Image.OPEN}


def _open(data: bytes) -> Image.Image | None:
    for opener, accepts in _plugins().values():
        if accepts is None or accepts(data[:16]) is True:
            try:
                picture: Image.Image = opener(BytesIO(data), "")
            except SyntaxError:  # not this kind
                continue
            return picture
    return None


def _rgb(picture: Image.Image, *, whole_range: bool) -> NDArray[np.uint8]:
    """[H, W, 3]; in formats that do not use the whole range of 32-bit integers, these hold 16 bits."""
    if picture.mode.startswith("I;16") or (picture.mode == "I" and not whole_range):
        grey = (np.asarray(picture).astype(np.int64) >> 8).astype(np.uint8)
        return np.repeat(grey[:, :, None], 3, axis=2)
    if picture.mode in ("I", "F"):
        raise UndecodableError("pixels of 32 bits, whose range is not known; save them with 8 or 16")
    return np.array(picture.convert("RGB"))
