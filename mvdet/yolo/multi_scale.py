"""The switch for multi-scale training under ultralytics: the environment variable `MVDET_MULTI_SCALE`."""

import os
import re
from dataclasses import dataclass

from mvdet.data.samplers import SizeBatch, size_batch_pairs

VARIABLE = "MVDET_MULTI_SCALE"
SMALLEST, LARGEST = 0.625, 1.25
"""Of `imgsz`: 160 and 320 of 256 (MobileViT, arXiv:2110.02178, section 3.2)."""


@dataclass(frozen=True, slots=True)
class SizeRange:
    """Square sizes to draw from, beside `imgsz`.

    Attributes:
        smallest, largest: sides in pixels; None takes `SMALLEST` and `LARGEST` times `imgsz`.
        number: how many evenly spaced sizes, both ends among them.
    """

    smallest: int | None = None
    largest: int | None = None
    number: int = 5

    def pairs(self, imgsz: int, batch_size: int, stride: int) -> list[SizeBatch]:
        """The sizes, multiples of the stride, each with the batch that has about the pixels of the base's.

        Args:
            imgsz: the base size, which is among them.
            batch_size: images of one process in a step at the base size.
            stride: the network's largest.

        Raises:
            ValueError: a side is below the stride, or a batch below 1.
        """
        smallest = self.smallest or int(SMALLEST * imgsz)
        largest = self.largest or int(LARGEST * imgsz)
        low, high = (smallest, smallest), (largest, largest)
        try:
            return size_batch_pairs((imgsz, imgsz), batch_size, low, high, self.number, stride)
        except ValueError as error:
            raise ValueError(
                f"{VARIABLE}: no sizes from {smallest} to {largest} with imgsz={imgsz} and batch={batch_size}: {error}"
            ) from error


def requested_range() -> SizeRange | None:
    """What `MVDET_MULTI_SCALE` asks for; None where it is not set, empty or 0.

    Raises:
        ValueError: it is anything but those, 1, SMALLEST,LARGEST or SMALLEST,LARGEST,NUMBER.
    """
    value = os.environ.get(VARIABLE, "").strip()
    if value in ("", "0"):
        return None
    if value == "1":
        return SizeRange()
    found = re.fullmatch(r"(\d+),(\d+)(?:,(\d+))?", value, re.ASCII)
    sides = [int(number) for number in found.groups() if number] if found else []
    if not sides or min(sides) < 1 or sides[0] > sides[1]:
        raise ValueError(
            f"the environment variable {VARIABLE} must be 0 (off), 1 (sizes from {SMALLEST} to {LARGEST} times imgsz), "
            f"SMALLEST,LARGEST or SMALLEST,LARGEST,NUMBER in pixels, as in 320,800,5, got {value!r}"
        )
    return SizeRange(*sides)
