"""The EXIF orientation of pictures: how it is read, and when it is applied.

Viewers and browsers show a picture turned as its orientation says, and so do today's annotation tools (CVAT, Label
Studio, VIA, labelme, LabelImg of late; Roboflow turns the pixels themselves), `cv2.imread` and with it the training of
ultralytics. Older tools and scripts count the pixels as they are stored. The annotated size tells the two apart where
the orientation is a quarter turn, which is what nearly every camera and telephone writes. So there is one rule, for
training, evaluation and prediction: **a picture is turned upright, unless its annotated size is that of the stored
pixels and not that of the upright ones.** Where the size cannot tell (half turns, mirrors, square pictures), it is
turned, and the data set says so.
"""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

Pixels = NDArray[np.uint8]
Size = tuple[int, int]

STORED = 1
"""The orientation of a picture whose pixels are stored upright."""

_TAG = 0x0112
_SHORT = 3
_QUARTER_TURNS = range(5, 9)

_TURNS: dict[int, Callable[[Pixels], Pixels]] = {
    2: lambda pixels: pixels[:, ::-1],
    3: lambda pixels: pixels[::-1, ::-1],
    4: lambda pixels: pixels[::-1],
    5: lambda pixels: pixels.swapaxes(0, 1),
    6: lambda pixels: pixels[::-1].swapaxes(0, 1),
    7: lambda pixels: pixels[::-1, ::-1].swapaxes(0, 1),
    8: lambda pixels: pixels.swapaxes(0, 1)[::-1],
}
"""From stored to upright pixels, by orientation (CIPA DC-008, tag 274)."""
_INVERSE = {6: 8, 8: 6}


def turned(pixels: Pixels, orientation: int) -> Pixels:
    """Upright pixels [H', W', 3], contiguous, of stored ones [H, W, 3]."""
    # copied: `ascontiguousarray` leaves negative strides to sides of one pixel, which torch does not take
    return _TURNS[orientation](pixels).copy() if orientation in _TURNS else pixels


def turned_back(pixels: Pixels, orientation: int) -> Pixels:
    """Stored pixels of upright ones."""
    return turned(pixels, _INVERSE.get(orientation, orientation))


def upright_size(stored: Size, orientation: int) -> Size:
    """`(width, height)` after turning."""
    return (stored[1], stored[0]) if orientation in _QUARTER_TURNS else stored


def is_turned(orientation: int, stored: Size, annotated: Size | None) -> bool:
    """Whether the rule has a picture turned; sizes are `(width, height)`, None where nothing is annotated."""
    if orientation == STORED:
        return False
    return annotated is None or annotated != stored or annotated == upright_size(stored, orientation)


def is_doubtful(orientation: int, stored: Size, annotated: Size | None) -> bool:
    """Whether the annotated size does not tell if the annotations count the stored pixels or the upright ones."""
    return orientation != STORED and annotated == stored == upright_size(stored, orientation)


def exif_orientation(exif: bytes) -> int:
    """The orientation in EXIF data, which begin as a TIFF file does; 1 where they have none or are malformed."""
    order = {b"II": "little", b"MM": "big"}.get(exif[:2])
    if order is None:
        return STORED

    def number(at: int, length: int) -> int:
        return int.from_bytes(exif[at : at + length], order)  # type: ignore[arg-type]

    start = number(4, 4)
    for entry in range(start + 2, min(start + 2 + 12 * number(start, 2), len(exif) - 11), 12):
        if number(entry, 2) == _TAG and number(entry + 2, 2) == _SHORT:
            value = number(entry + 8, 2)
            return value if value in _TURNS else STORED
    return STORED
