"""Paint one picture of the `shapes` set."""

import colorsys
import math

import numpy as np
from numpy.typing import NDArray

from mvdet.data.io.boxes import clip_box
from mvdet.data.io.contours import Image, Instance
from mvdet.data.shapes.layout import Placement, place_objects
from mvdet.data.shapes.silhouettes import CLASSES, PATTERNS, Field, clouds, exact, pattern, turn

MIN_SIDE_PX, MAX_SIDE_PX = 256, 384
HUES = {"circle": 0.0, "triangle": 0.36, "square": 0.6, "star": 0.13, "cross": 0.82}
"""Hue that most objects of a kind are near."""
HUE_SPREAD = 0.07
ANY_HUE = 0.25
"""Share of objects of any hue, so that colour is a hint of the class and not the class."""

Canvas = NDArray[np.float32]  # [3, H, W], RGB in 0 to 255: planes, because numpy is slow along an axis of 3
Colour = tuple[float, float, float]


def paint_picture(rng: np.random.Generator) -> tuple[Image, list[Instance]]:
    """Paint a picture from a generator.

    The pixels and the masks depend on the generator's state alone, not on the machine.

    Args:
        rng: a generator whose stream does not depend on the platform, such as PCG64.

    Returns:
        The picture, [H, W, 3] uint8 RGB with H and W between 256 and 384, and its objects in painting order, one at
        least, all with masks of [H, W].
    """
    height, width = (int(side) for side in rng.integers(MIN_SIDE_PX, MAX_SIDE_PX + 1, size=2))
    placements, instances = place_objects(rng, height, width)
    canvas = _paint_background(rng, height, width)
    for _ in range(int(rng.integers(0, 4))):
        _paint_stroke(rng, canvas)
    light = rng.random() * 2.0 * math.pi
    for placement in placements:
        _paint_object(rng, canvas, placement, light)
    pixels = (np.clip(canvas, 0.0, 255.0) + 0.5).astype(np.uint8)
    return np.ascontiguousarray(pixels.transpose(1, 2, 0)), instances  # [3, H, W] -> [H, W, 3]


def _paint_background(rng: np.random.Generator, height: int, width: int) -> Canvas:
    """A pale, textured ground in two related colours, lit from one side."""
    hue, saturation, value = rng.random(), 0.05 + 0.25 * rng.random(), 0.5 + 0.4 * rng.random()
    first = _rgb(hue, saturation, value)
    second = _rgb(hue + 0.16 * (rng.random() - 0.5), saturation, value - (0.12 + 0.18 * rng.random()))
    x, y = _centred_grid(height, width)
    u, v = turn(x, y, rng.random() * math.pi)
    name = PATTERNS[int(rng.integers(len(PATTERNS)))]
    field = pattern(rng, name, u, v, 10.0 + 30.0 * rng.random())
    field = 0.55 * field + 0.45 * clouds(rng, height, width, 60.0 + 60.0 * rng.random())
    ramp, _ = turn(x, y, rng.random() * 2.0 * math.pi)
    return _blend(first, second, field) * (1.0 + ramp * np.float32(0.15 / 192.0))


def _paint_stroke(rng: np.random.Generator, canvas: Canvas) -> None:
    """A faint, soft, unlabelled line across the ground: clutter."""
    _, height, width = canvas.shape
    x, y = _centred_grid(height, width)
    u, v = turn(x, y, rng.random() * math.pi)
    bend = (rng.random() - 0.5) * 0.006
    distance = np.abs(v + (rng.random() - 0.5) * 0.8 * height + bend * u * u)
    cover = np.clip(1.5 + 3.0 * rng.random() - distance, 0.0, 1.0) * np.float32(0.2 + 0.3 * rng.random())
    shade = np.float32(255.0 if rng.random() < 0.5 else 20.0)
    touched = np.nonzero(cover)
    ground = canvas[:, touched[0], touched[1]]  # [3, N]
    canvas[:, touched[0], touched[1]] = ground + (shade - ground) * cover[touched]


def _paint_object(rng: np.random.Generator, canvas: Canvas, placement: Placement, light: float) -> None:
    """A soft shadow, then the object: two tones of a colour in some texture, with a darker rim."""
    radius = placement.radius
    kind = CLASSES[placement.label]
    hue = rng.random() if rng.random() < ANY_HUE else HUES[kind] + HUE_SPREAD * (2.0 * rng.random() - 1.0)
    saturation, value = 0.6 + 0.35 * rng.random(), 0.6 + 0.4 * rng.random()
    tones = _rgb(hue, saturation, value), _rgb(hue, saturation * (0.5 + 0.4 * rng.random()), value * 0.75)
    name = ("plain", *PATTERNS)[int(rng.integers(len(PATTERNS) + 1))]

    soft = 2.0 + 0.06 * radius
    shadow = Placement(
        placement.label,
        exact(placement.x + soft * math.cos(light)),
        exact(placement.y + soft * math.sin(light)),
        radius,
        placement.angle,
    )
    window, x1, y1, x2, y2 = _crop(canvas, shadow.window(margin=soft + 1.0))
    darkness = np.clip(0.5 + shadow.distance(x1, y1, x2, y2) * (0.5 / soft), 0.0, 1.0) * np.float32(0.4)
    window *= 1.0 - darkness

    window, x1, y1, x2, y2 = _crop(canvas, placement.window())
    x, y = placement.frame(x1, y1, x2, y2)
    distance = placement.distance(x1, y1, x2, y2)
    field = np.zeros_like(distance) if name == "plain" else pattern(rng, name, x, y, 5.0 + radius * 0.3)
    colour = _blend(*tones, field)
    shading = 0.7 + 0.3 * np.clip(distance * (1.0 / (1.5 + 0.03 * radius)), 0.0, 1.0)
    lit, _ = turn(x, y, light - placement.angle)
    colour *= shading * (1.0 - lit * (0.12 / radius))
    cover = np.clip(distance + 0.5, 0.0, 1.0)
    window += (colour - window) * cover


def _crop(canvas: Canvas, box: tuple[int, int, int, int]) -> tuple[Canvas, int, int, int, int]:
    """View of the part of a canvas under an xyxy box, and the box clipped to the canvas."""
    _, height, width = canvas.shape
    x1, y1, x2, y2 = clip_box(box, width, height)
    return canvas[:, y1:y2, x1:x2], x1, y1, x2, y2


def _centred_grid(height: int, width: int) -> tuple[Field, Field]:
    """X and y of every pixel from the middle of the picture, each [height, width] float32."""
    x = np.arange(width, dtype=np.float32) - width / 2.0
    y = np.arange(height, dtype=np.float32) - height / 2.0
    return np.broadcast_to(x[None, :], (height, width)), np.broadcast_to(y[:, None], (height, width))


def _blend(first: Colour, second: Colour, field: Field) -> Canvas:
    """From the first colour where the field is 0 to the second where it is 1. [H, W] -> [3, H, W]."""
    planes = [np.float32(start) + field * np.float32(end - start) for start, end in zip(first, second, strict=True)]
    return np.stack(planes)


def _rgb(hue: float, saturation: float, value: float) -> Colour:
    """Hue (turns, any number), saturation and value (0 to 1) to RGB in 0 to 255."""
    red, green, blue = colorsys.hsv_to_rgb(hue % 1.0, saturation, value)
    return 255.0 * red, 255.0 * green, 255.0 * blue
