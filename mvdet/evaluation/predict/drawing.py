"""What a model finds, drawn into pictures: boxes with labels, masks as colours, lines of text."""

import colorsys
import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import matplotlib
import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from mvdet.data.io.masks import voc_palette

Colour = tuple[int, int, int]
"""RGB, 0 to 255."""
Area = tuple[int, int, int, int]
"""Left, top, right and bottom in pixels; the last column and row belong to it."""

BACKGROUND = "background"
"""The class that is not coloured."""

_OPACITY = 0.55  # of a mask
_PANEL = (0, 0, 0, 170)  # behind the lines
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
    text_size = _text_size_for(width, height)
    line = max(1, round(text_size / 7))
    ranked = sorted(objects, key=lambda item: item.score)
    for item in ranked:
        colour, (left, top, right, bottom) = class_colour(item.label), _box_area(item, width, height)
        # A rim, for objects of the box's own colour.
        draw.rectangle((left - 1, top - 1, right + 1, bottom + 1), outline=_readable_on(colour), width=line + 2)
        draw.rectangle((left, top, right, bottom), outline=colour, width=line)
    taken: list[Area] = []
    labels: list[tuple[DetectedObject, str, Area]] = []
    for item in reversed(ranked):  # the best choose their places first
        text = _fitted(item.class_name, width - 2 * _padding(text_size), text_size, f" {item.score:.2f}")
        area = _label_area(_box_area(item, width, height), text, text_size, (width, height), taken)
        taken.append(area)
        labels.append((item, text, area))
    for item, text, area in reversed(labels):
        colour = class_colour(item.label)
        draw.rectangle(area, fill=colour)
        left, top, _, _ = area
        draw.text((left + _padding(text_size), top), text, fill=_readable_on(colour), font=_font(text_size))
    return np.array(canvas)


def mask_colours() -> NDArray[np.uint8]:
    """[256, 3] RGB by class number: VOC's."""
    return np.array(voc_palette(), np.uint8).reshape(256, 3)


def draw_mask(image: NDArray[np.uint8], labels: NDArray[np.uint8], class_names: Sequence[str]) -> NDArray[np.uint8]:
    """A copy of a picture under the colours of its classes; the class called "background" stays clear.

    Args:
        image: [H, W, 3] uint8 RGB.
        labels: [H, W] class numbers; 255 is drawn white.
        class_names: by class number.
    """
    colours = mask_colours()[labels]
    mixed = ((1 - _OPACITY) * image + _OPACITY * colours).round().astype(np.uint8)
    if BACKGROUND in class_names:
        clear = labels == class_names.index(BACKGROUND)
        mixed[clear] = image[clear]
    return mixed


def legend_lines(labels: NDArray[np.uint8], class_names: Sequence[str]) -> list[tuple[Colour | None, str]]:
    """The classes that are there but for the background, the largest first, as `draw_lines` takes them."""
    colours = mask_colours()
    counts = np.bincount(labels.ravel(), minlength=len(class_names))[: len(class_names)]
    present = sorted(np.flatnonzero(counts).tolist(), key=lambda number: -counts[number])
    return [
        ((int(colours[n, 0]), int(colours[n, 1]), int(colours[n, 2])), class_names[n])
        for n in present
        if class_names[n] != BACKGROUND
    ]


def draw_lines(image: NDArray[np.uint8], lines: Sequence[tuple[Colour | None, str]]) -> NDArray[np.uint8]:
    """A copy of a picture with lines of text in its upper left corner, on a dark panel; text grows with the picture.

    Lines that are too long are shortened; those that would reach below the picture are left out.

    Args:
        image: [H, W, 3] uint8 RGB.
        lines: the colour of a square before the text, None for none, and the text.
    """
    if not lines:
        return image.copy()
    height, width, _ = image.shape
    size = _text_size_for(width, height)
    ascent, descent = _font(size).getmetrics()
    step, gap = ascent + descent, _padding(size)
    lines = lines[: max(1, (height - 2 * gap) // step)]
    indents = [gap if colour is None else 2 * gap + size for colour, _ in lines]
    texts = [_fitted(text, width - indent - gap, size) for (_, text), indent in zip(lines, indents, strict=True)]
    right = max(indent + _font(size).getlength(text) + gap for text, indent in zip(texts, indents, strict=True))
    panel = Image.new("RGBA", (width, height), (0, 0, 0, 0))
    draw = ImageDraw.Draw(panel)
    draw.rectangle((0, 0, min(round(right), width) - 1, min(2 * gap + step * len(lines), height) - 1), fill=_PANEL)
    for row, ((colour, _), text, indent) in enumerate(zip(lines, texts, indents, strict=True)):
        top = gap + row * step
        if colour is not None:
            above = (step - size) // 2
            draw.rectangle((gap, top + above, gap + size - 1, top + above + size - 1), fill=colour, outline="white")
        draw.text((indent, top), text, fill="white", font=_font(size))
    return np.array(Image.alpha_composite(Image.fromarray(image).convert("RGBA"), panel).convert("RGB"))


def _text_size_for(width: int, height: int) -> int:
    """Height of the text in a picture of this size, in pixels."""
    return max(_SMALLEST_TEXT, round(_TEXT_SHARE * math.sqrt(width * height)))


@cache
def _font(size: int) -> ImageFont.FreeTypeFont:
    """DejaVu Sans, which matplotlib brings."""
    return ImageFont.truetype(str(Path(matplotlib.get_data_path(), "fonts", "ttf", "DejaVuSans.ttf")), size)


def _padding(text_size: int) -> int:
    """Pixels between text and the edge of what is behind it."""
    return max(2, text_size // 5)


def _readable_on(colour: Colour) -> Colour:
    """Black or white."""
    red, green, blue = colour
    return (0, 0, 0) if 0.299 * red + 0.587 * green + 0.114 * blue > 140 else (255, 255, 255)


def _fitted(text: str, room: float, size: int, after: str = "") -> str:
    """The text and what comes `after` it, the text shortened until both fit into so many pixels."""
    shown = text + after
    while text and _font(size).getlength(shown) > room:
        text = text[:-1]
        shown = f"{text}\N{HORIZONTAL ELLIPSIS}{after}" if text or not after else after.strip()
    return shown


def _box_area(item: DetectedObject, width: int, height: int) -> Area:
    """The pixels that a box covers, one at least, inside the picture."""
    x1, y1, x2, y2 = item.box
    left, top = min(max(round(x1), 0), width - 1), min(max(round(y1), 0), height - 1)
    return left, top, max(left, min(round(x2), width) - 1), max(top, min(round(y2), height) - 1)


def _label_area(box: Area, text: str, text_size: int, size: tuple[int, int], taken: Sequence[Area]) -> Area:
    """Where a label goes: above its box, inside at the top, below, or inside at the bottom, whichever is free first."""
    ascent, descent = _font(text_size).getmetrics()
    label_width = int(np.ceil(_font(text_size).getlength(text))) + 2 * _padding(text_size)
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
