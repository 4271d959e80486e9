"""Lines of text in the corner of a picture, and masks laid over it."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from mvdet.data.mask_files import voc_palette
from mvdet.evaluation.drawing import Colour, font, padding, text_size_for

_OPACITY = 0.55  # of a mask
_PANEL = (0, 0, 0, 170)  # behind the lines
BACKGROUND = "background"
"""The class that is not coloured."""


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
    size = text_size_for(width, height)
    ascent, descent = font(size).getmetrics()
    step, gap = ascent + descent, padding(size)
    lines = lines[: max(1, (height - 2 * gap) // step)]
    indents = [gap if colour is None else 2 * gap + size for colour, _ in lines]
    texts = [_fitted(text, width - indent - gap, size) for (_, text), indent in zip(lines, indents, strict=True)]
    right = max(indent + font(size).getlength(text) + gap for text, indent in zip(texts, indents, strict=True))
    panel = Image.new("RGBA", (width, height), (0, 0, 0, 0))
    draw = ImageDraw.Draw(panel)
    draw.rectangle((0, 0, min(round(right), width) - 1, min(2 * gap + step * len(lines), height) - 1), fill=_PANEL)
    for row, ((colour, _), text, indent) in enumerate(zip(lines, texts, indents, strict=True)):
        top = gap + row * step
        if colour is not None:
            above = (step - size) // 2
            draw.rectangle((gap, top + above, gap + size - 1, top + above + size - 1), fill=colour, outline="white")
        draw.text((indent, top), text, fill="white", font=font(size))
    return np.array(Image.alpha_composite(Image.fromarray(image).convert("RGBA"), panel).convert("RGB"))


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


def _fitted(text: str, room: int, size: int) -> str:
    shown = text
    while len(shown) > 1 and font(size).getlength(shown) > room:
        text = text[:-1]
        shown = f"{text}\N{HORIZONTAL ELLIPSIS}"
    return shown
