"""The kinds of object in the `shapes` set, as distances to their outline."""

import math

import numpy as np
from numpy.typing import NDArray

Field = NDArray[np.float32]

PATTERNS = ("clouds", "stripes", "checks", "dots")


def smoothstep(value: Field) -> Field:
    """The smooth step 3 t^2 - 2 t^3 of a field in [0, 1]."""
    return value * value * (3.0 - 2.0 * value)


def wave(phase: Field) -> Field:
    """Smooth wave of period 1 in [0, 1]: 1 at whole numbers, 0 half-way between."""
    return smoothstep(np.abs(2.0 * (phase - np.floor(phase)) - 1.0))


def smooth_noise(rng: np.random.Generator, height: int, width: int, cell: float) -> Field:
    """Random values on a grid `cell` pixels wide, blended smoothly in between.

    Returns:
        [height, width] float32 in [0, 1].
    """
    rows, row_weight = _grid(height, cell)
    columns, column_weight = _grid(width, cell)
    knots = rng.random((int(rows[-1]) + 2, int(columns[-1]) + 2)).astype(np.float32)
    bands = knots[:, columns] * (1.0 - column_weight) + knots[:, columns + 1] * column_weight  # [knot rows, W]
    down = row_weight[:, None]
    field: Field = bands[rows] * (1.0 - down) + bands[rows + 1] * down  # [H, W]
    return field


def clouds(rng: np.random.Generator, height: int, width: int, cell: float) -> Field:
    """Three octaves of `smooth_noise`, from `cell` pixels to a quarter of it. [height, width] float32 in [0, 1]."""
    coarse = smooth_noise(rng, height, width, cell)
    middle = smooth_noise(rng, height, width, max(cell / 2.0, 1.5))
    fine = smooth_noise(rng, height, width, max(cell / 4.0, 1.5))
    field: Field = (4.0 * coarse + 2.0 * middle + fine) * np.float32(1.0 / 7.0)
    return field


def pattern(rng: np.random.Generator, name: str, x: Field, y: Field, period: float) -> Field:
    """A texture over coordinates in pixels.

    Args:
        rng: drawn from for the phase and, with "clouds" and the warping of stripes, for the noise.
        name: one of `PATTERNS`.
        x: [H, W] float32, rotated as the texture should be.
        y: [H, W] float32, likewise.
        period: pixels from one stripe, check or dot to the next.

    Returns:
        [H, W] float32 in [0, 1].

    Raises:
        ValueError: unknown name.
    """
    height, width = x.shape
    if name == "clouds":
        return clouds(rng, height, width, 2.0 * period)
    u = x * (1.0 / period) + rng.random()
    v = y * (1.0 / period) + rng.random()
    if name == "stripes":
        return wave(u + 0.6 * smooth_noise(rng, height, width, 3.0 * period))
    if name == "checks":
        columns, rows = wave(u * 0.5), wave(v * 0.5)
        return columns * rows + (1.0 - columns) * (1.0 - rows)
    if name == "dots":
        return wave(u) * wave(v)
    raise ValueError(f"unknown pattern {name!r}; choose one of {', '.join(PATTERNS)}")


def _grid(length: int, cell: float) -> tuple[NDArray[np.intp], Field]:
    """For each pixel along an axis: the knot before it, and the smooth weight of the knot after it."""
    place = (np.arange(length, dtype=np.float32) + 0.5) * np.float32(1.0 / cell)
    knot = np.floor(place)
    return knot.astype(np.intp), smoothstep(place - knot)


CLASSES = ("circle", "triangle", "square", "star", "cross")
"""Class names; a label is an index into this tuple."""


def exact(value: float) -> float:
    """Round to a multiple of 2^-16, so that the last bit of a platform's sine or exponential makes no difference."""
    return round(value * 65536.0) / 65536.0


def turn(x: Field, y: Field, angle: float) -> tuple[Field, Field]:
    """Coordinates in a frame that is rotated by `angle` radians."""
    cosine, sine = exact(math.cos(angle)), exact(math.sin(angle))
    return x * cosine + y * sine, y * cosine - x * sine


def signed_distance(kind: str, x: Field, y: Field, radius: float) -> Field:
    """How far inside the outline each point lies; close to the true distance near the outline.

    Args:
        kind: one of `CLASSES`.
        x: [H, W] float32, pixels to the right of the centre, in the object's own frame.
        y: [H, W] float32, pixels below the centre, likewise.
        radius: of the circle through the outermost corners, in pixels.

    Returns:
        [H, W] float32 in pixels, positive inside.

    Raises:
        ValueError: unknown kind.
    """
    if kind == "circle":
        return np.float32(radius) - np.sqrt(x * x + y * y)
    if kind == "square":
        return np.float32(radius * math.sqrt(0.5)) - np.maximum(np.abs(x), np.abs(y))
    if kind == "triangle":
        return _count_sides(x, y, corners=3, apothem=radius / 2.0)[0]
    if kind == "star":  # a point of a pentagram may lie outside one of its five lines, but not outside two
        return _count_sides(x, y, corners=5, apothem=exact(radius * math.cos(2.0 * math.pi / 5.0)))[1]
    if kind == "cross":
        length = exact(radius * math.sqrt(0.9))
        arm = exact(length / 3.0)
        across, along = np.abs(x), np.abs(y)
        return np.maximum(
            np.minimum(length - across, arm - along),
            np.minimum(arm - across, length - along),
        )
    raise ValueError(f"unknown kind of object {kind!r}; choose one of {', '.join(CLASSES)}")


def _count_sides(x: Field, y: Field, corners: int, apothem: float) -> tuple[Field, Field]:
    """Smallest and second smallest distance to `corners` lines around the centre, each `apothem` pixels from it."""
    smallest = np.full_like(x, np.inf)
    second = np.full_like(x, np.inf)
    for corner in range(corners):
        angle = 2.0 * math.pi * corner / corners
        distance = apothem - turn(x, y, angle)[0]
        second = np.minimum(second, np.maximum(smallest, distance))
        smallest = np.minimum(smallest, distance)
    return smallest, second
