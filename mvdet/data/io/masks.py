"""Read and write masks: PNG files that hold a class number for every pixel."""

from collections.abc import Sequence
from io import BytesIO
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from PIL.PngImagePlugin import PngImageFile

from mvdet.data.io.faults import Fault
from mvdet.data.io.images import BadImageError
from mvdet.data.io.listing import is_no_file

IGNORE_INDEX = 255
"""The class number of pixels that count neither in the loss nor in the evaluation: VOC's borders, and padding."""

_GREY, _PALETTE = 0, 3  # PNG's colour types that hold one number a pixel (ISO/IEC 15948, 11.2.1)
_COLOUR_TYPES = {2: "RGB", 4: "grey with transparency", 6: "RGB with transparency"}
_GREY_STEPS = {2: 85, 4: 17}  # Pillow spreads 2 and 4 bits of grey over 0 to 255


def voc_palette() -> list[int]:
    """VOC's colour map, 256 x RGB in one list: the bits of an index, three at a time, fill R, G, B from the top."""
    palette = []
    for index in range(256):
        colour = [0, 0, 0]
        for bit in range(8):
            for channel in range(3):
                colour[channel] |= (index >> (3 * bit + channel) & 1) << (7 - bit)
        palette += colour
    return palette


def write_mask(file: str | Path, values: NDArray[np.uint8]) -> None:
    """Write class numbers [H, W] as a palette PNG in VOC's colours, whatever the file's suffix; its folder exists."""
    picture = Image.fromarray(values).convert("P")
    picture.putpalette(voc_palette())
    picture.save(file, format="PNG")


def check_mask_values(values: Sequence[int], num_classes: int) -> None:
    """Raises ValueError unless `values` can be the numbers in masks: one of 0 to 255 for each class, each once."""
    if len(values) != num_classes or len(set(values)) < len(values) or not all(0 <= value <= 255 for value in values):
        given = " ".join(map(str, values))
        raise ValueError(
            f"mask_values must be different numbers of 0 to 255, one for each of the {num_classes} classes, got {given}"
        )


def read_mask(file: str | Path, num_classes: int, values: Sequence[int] | None = None) -> NDArray[np.uint8]:
    """The class numbers of a palette PNG (its colours do not matter) or of a grey one of any depth.

    Not through `PIL.Image.open`, in whose place ultralytics puts a function that installs packages.

    Args:
        file: the mask.
        num_classes: 0 to `num_classes` - 1 are classes, 255 is no class.
        values: what the file has in place of the class numbers, by class number: (0, 255) for black and white. None
            for class numbers. 255 is no class unless it is among them.

    Returns:
        [H, W], class numbers and 255.

    Raises:
        BadImageError: no such file, no PNG or a broken one, one of colours, or with another number in it.
    """
    try:
        data = Path(file).read_bytes()
    except OSError as error:
        if not is_no_file(error):
            raise
        raise BadImageError(Fault.MISSING_MASK, f"{file}: no such file") from error
    try:
        picture = PngImageFile(BytesIO(data))
        stored = np.asarray(picture).astype(np.int64)
    except Exception as error:  # a malformed field makes Pillow raise nearly anything
        raise BadImageError(Fault.UNREADABLE_MASK, f"{file}: not a PNG file that can be read: {error}") from error
    depth, colour_type = data[24], data[25]  # of the header, which is the first chunk
    if colour_type not in (_GREY, _PALETTE):
        kind = _COLOUR_TYPES.get(colour_type, f"colour type {colour_type}")
        raise BadImageError(
            Fault.NO_INDEX_MASK, f"{file}: {kind}; a mask must be a palette or a grey PNG of class numbers"
        )
    if colour_type == _GREY:
        stored //= _GREY_STEPS.get(depth, 1)
    numbers = {value: number for number, value in enumerate(range(num_classes) if values is None else values)}
    table = np.full(max(int(stored.max(initial=0)), IGNORE_INDEX) + 1, -1, dtype=np.int64)
    table[IGNORE_INDEX] = IGNORE_INDEX
    table[list(numbers)] = list(numbers.values())
    mask = table[stored]
    if (strange := mask < 0).any():
        row, column = np.argwhere(strange)[0].tolist()
        found = ", ".join(map(str, np.unique(stored[strange])[:10].tolist()))
        allowed = f"0 to {num_classes - 1}" if values is None else ", ".join(map(str, values))
        ignored = "" if IGNORE_INDEX in numbers else f" and {IGNORE_INDEX} for pixels that do not count"
        hint = "; --mask-values names others" if values is None else ""
        raise BadImageError(
            Fault.UNKNOWN_LABEL,
            f"{file}: has the class numbers {found} (first at row {row}, column {column}), "
            f"allowed are {allowed}{ignored}{hint}",
        )
    return mask.astype(np.uint8)
