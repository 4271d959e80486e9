"""Detections drawn into pictures."""

from __future__ import annotations

import colorsys
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import matplotlib
import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

Colour = tuple[int, int, int]
Area = tuple[int, int, int, int]  # left, top, right, bottom, in pixels

_GOLDEN_RATIO = 0.6180339887  # steps of it around the colour circle keep neighbours far apart, however many there are
_TEXT_SHARE = 0.022  # of the picture's side
_SMALLEST_TEXT = 11  # pixels; what is smaller cannot be read


@dataclass(frozen=True, slots=True)
class DetectedObject:
    """One detection.

    Attributes:
        class_name: of its label.
        label: from 1.
        score: 0 to 1.
        box: xyxy in pixels of the picture.
    """

    class_name: str
    label: int
    score: float
    box: tuple[float, float, float, float]


def class_colour(label: int) -> Colour:
    """RGB, 0 to 255; a label has the same one in every picture."""
    hue = label * _GOLDEN_RATIO % 1
    red, green, blue = colorsys.hsv_to_rgb(hue, 0.85 if label % 2 else 0.6, 0.95 if label % 4 < 2 else 0.75)
    return round(255 * red), round(255 * green), round(255 * blue)


def draw_detections(image: NDArray[np.uint8], objects: Sequence[DetectedObject]) -> NDArray[np.uint8]:
    """A copy of a picture with boxes, class names and scores; lines and text grow with the picture.

    A label stands above its box, or where it would leave the picture or cover another label, inside or below. Class
    names that are too long for the picture are shortened.

    Args:
        image: [H, W, 3] uint8 RGB.
        objects: drawn so that higher scores lie on top.

    Returns:
        [H, W, 3] uint8 RGB.
    """
    height, width, _ = image.shape
    canvas = Image.fromarray(image)
    draw = ImageDraw.Draw(canvas)
    text_size = text_size_for(width, height)
    line = max(1, round(text_size / 7))
    ranked = sorted(objects, key=lambda item: item.score)
    for item in ranked:
        colour, (left, top, right, bottom) = class_colour(item.label), _box_area(item, width, height)
        # A rim, for objects of the box's own colour.
        draw.rectangle((left - 1, top - 1, right + 1, bottom + 1), outline=readable_on(colour), width=line + 2)
        draw.rectangle((left, top, right, bottom), outline=colour, width=line)
    taken: list[Area] = []
    labels: list[tuple[DetectedObject, str, Area]] = []
    for item in reversed(ranked):  # the best choose their places first
        text = _fitted(item, width, text_size)
        area = _label_area(_box_area(item, width, height), text, text_size, (width, height), taken)
        taken.append(area)
        labels.append((item, text, area))
    for item, text, area in reversed(labels):
        colour = class_colour(item.label)
        draw.rectangle(area, fill=colour)
        left, top, _, _ = area
        draw.text((left + padding(text_size), top), text, fill=readable_on(colour), font=font(text_size))
    return np.array(canvas)


def text_size_for(width: int, height: int) -> int:
    """Of the text in a picture of this size, in pixels."""
    return max(_SMALLEST_TEXT, round(_TEXT_SHARE * (width * height) ** 0.5))


@cache
def font(size: int) -> ImageFont.FreeTypeFont:
    """DejaVu Sans, which matplotlib brings."""
    return ImageFont.truetype(str(Path(matplotlib.get_data_path(), "fonts", "ttf", "DejaVuSans.ttf")), size)


def padding(text_size: int) -> int:
    """Pixels between text and the edge of what is behind it."""
    return max(2, text_size // 5)


def readable_on(colour: Colour) -> Colour:
    """Black or white."""
    red, green, blue = colour
    return (0, 0, 0) if 0.299 * red + 0.587 * green + 0.114 * blue > 140 else (255, 255, 255)


def _box_area(item: DetectedObject, width: int, height: int) -> Area:
    """The pixels that a box covers, one at least, inside the picture."""
    x1, y1, x2, y2 = item.box
    left, top = min(max(round(x1), 0), width - 1), min(max(round(y1), 0), height - 1)
    return left, top, max(left, min(round(x2), width) - 1), max(top, min(round(y2), height) - 1)


def _fitted(item: DetectedObject, width: int, text_size: int) -> str:
    name, score = item.class_name, f"{item.score:.2f}"
    text = f"{name} {score}"
    while name and font(text_size).getlength(text) + 2 * padding(text_size) > width:
        name = name[:-1]
        text = f"{name}\N{HORIZONTAL ELLIPSIS} {score}" if name else score
    return text


def _label_area(box: Area, text: str, text_size: int, size: tuple[int, int], taken: Sequence[Area]) -> Area:
    """Where a label goes: above its box, inside at the top, below, or inside at the bottom, whichever is free first."""
    ascent, descent = font(text_size).getmetrics()
    label_width = int(np.ceil(font(text_size).getlength(text))) + 2 * padding(text_size)
    label_height = ascent + descent
    width, height = size
    left = max(0, min(box[0], width - label_width))
    tops = [box[1] - label_height, box[1], box[3] + 1, box[3] + 1 - label_height]
    places = [(left, top, left + label_width - 1, top + label_height - 1) for top in tops]
    inside = [place for place in places if place[1] >= 0 and place[3] < height]
    free = [place for place in inside if not any(_overlap(place, other) for other in taken)]
    return (free or inside or [(left, 0, left + label_width - 1, label_height - 1)])[0]


def _overlap(one: Area, other: Area) -> bool:
    return one[0] <= other[2] and other[0] <= one[2] and one[1] <= other[3] and other[1] <= one[3]
