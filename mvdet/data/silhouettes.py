"""The kinds of object in the `shapes` set, as distances to their outline."""

from __future__ import annotations

import math

import numpy as np

from mvdet.data.textures import Field

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
        x, y: [H, W] float32, pixels from the centre, in the object's own frame.
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
