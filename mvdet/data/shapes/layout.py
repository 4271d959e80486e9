"""Where the objects of a `shapes` picture lie: random, overlapping, none of them hidden too far to be found."""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mvdet.data.io.boxes import clip_box
from mvdet.data.io.contours import Instance, Mask, mask_box
from mvdet.data.shapes.silhouettes import CLASSES, Field, exact, signed_distance, turn

MIN_DIAMETER, MAX_DIAMETER = 20.0, 200.0
MIN_OBJECTS, MAX_OBJECTS = 2, 7
MIN_VISIBLE = 0.3
"""Share of an object's pixels that must stay visible, both in the picture and above the others."""
MIN_SIDE = 8
"""Least width and height, in pixels, of what is visible of an object."""

_ATTEMPTS = 30


@dataclass(frozen=True)
class Placement:
    """One object: its class, centre (pixels, in the picture's frame), outer radius (pixels) and rotation (radians)."""

    label: int
    x: float
    y: float
    radius: float
    angle: float

    def frame(self, x1: int, y1: int, x2: int, y2: int) -> tuple[Field, Field]:
        """Coordinates of the pixel centres of a window in the object's own frame, each [y2 - y1, x2 - x1] float32."""
        x = np.arange(x1, x2, dtype=np.float32) + (0.5 - self.x)
        y = np.arange(y1, y2, dtype=np.float32) + (0.5 - self.y)
        shape = (y2 - y1, x2 - x1)
        return turn(np.broadcast_to(x[None, :], shape), np.broadcast_to(y[:, None], shape), self.angle)

    def distance(self, x1: int, y1: int, x2: int, y2: int) -> Field:
        """`signed_distance` at the pixel centres of a window."""
        return signed_distance(CLASSES[self.label], *self.frame(x1, y1, x2, y2), self.radius)

    def window(self, margin: float = 1.0) -> tuple[int, int, int, int]:
        """Xyxy pixel window around the object; may reach out of the picture."""
        reach = self.radius + margin
        return (
            math.floor(self.x - reach),
            math.floor(self.y - reach),
            math.ceil(self.x + reach),
            math.ceil(self.y + reach),
        )


def place_objects(rng: np.random.Generator, height: int, width: int) -> tuple[list[Placement], list[Instance]]:
    """Place two to seven objects, each on top of those before it.

    A place where the new object, or one under it, would be hidden too far (`MIN_VISIBLE`, `MIN_SIDE`) is not taken;
    after 30 such places the object is left out.

    Returns:
        The placements, in painting order, and the matching instances: what is visible of each.
    """
    wanted = int(rng.integers(MIN_OBJECTS, MAX_OBJECTS + 1))
    layout = _Layout(height, width)
    for _ in range(wanted):
        for _ in range(_ATTEMPTS):
            if layout.add(_propose(rng, height, width, layout.placements)):
                break
    return layout.placements, layout.instances()


def _propose(rng: np.random.Generator, height: int, width: int, placed: list[Placement]) -> Placement:
    """A random object; half of them lie near one that is there already, so that many overlap."""
    largest = min(MAX_DIAMETER, 0.75 * min(height, width))
    diameter = MIN_DIAMETER * math.exp(rng.random() * math.log(largest / MIN_DIAMETER))  # log-uniform
    radius = exact(diameter / 2.0)
    label = int(rng.integers(len(CLASSES)))
    angle = rng.random() * 2.0 * math.pi
    x, y = (0.06 + 0.88 * rng.random()) * width, (0.06 + 0.88 * rng.random()) * height
    if placed and rng.random() < 0.5:
        other = placed[int(rng.integers(len(placed)))]
        toward = rng.random() * 2.0 * math.pi
        apart = (radius + other.radius) * (0.55 + 0.4 * rng.random())
        x, y = other.x + apart * math.cos(toward), other.y + apart * math.sin(toward)
    return Placement(label, exact(x), exact(y), radius, angle)


class _Layout:
    """The objects placed so far, and which of them each pixel belongs to."""

    def __init__(self, height: int, width: int) -> None:
        self.placements: list[Placement] = []
        self._owner: NDArray[np.int16] = np.full((height, width), -1, dtype=np.int16)
        self._full_area: list[int] = []  # pixels of the whole silhouette, also outside the picture
        self._inside_area: list[int] = []  # those of them inside the picture

    def add(self, placement: Placement) -> bool:
        """Put an object on top, unless it or one below it would be hidden too far; says whether it was put."""
        height, width = self._owner.shape
        x1, y1, x2, y2 = placement.window()
        silhouette: Mask = placement.distance(x1, y1, x2, y2) > 0
        left, top, right, bottom = clip_box((x1, y1, x2, y2), width, height)
        if left >= right or top >= bottom:
            return False
        inside = silhouette[top - y1 : bottom - y1, left - x1 : right - x1]
        full_area = int(np.count_nonzero(silhouette))
        if not _is_enough(inside, full_area):
            return False
        window = self._owner[top:bottom, left:right]
        for below in np.unique(window[inside]):
            if below >= 0:
                visible = self._owner == below
                visible[top:bottom, left:right] &= ~inside
                if not _is_enough(visible, self._full_area[below]):
                    return False
        window[inside] = len(self.placements)
        self.placements.append(placement)
        self._full_area.append(full_area)
        self._inside_area.append(int(np.count_nonzero(inside)))
        return True

    def instances(self) -> list[Instance]:
        """What is visible of each object, in painting order."""
        result = []
        for index, placement in enumerate(self.placements):
            mask: Mask = self._owner == index
            inside_area = self._inside_area[index]
            result.append(
                Instance(
                    label=placement.label,
                    mask=mask,
                    box=mask_box(mask),
                    truncated=inside_area < self._full_area[index],
                    occluded=int(np.count_nonzero(mask)) < inside_area,
                )
            )
        return result


def _is_enough(visible: Mask, full_area: int) -> bool:
    """Whether so much of an object can be seen that it should be found."""
    if np.count_nonzero(visible) < MIN_VISIBLE * full_area or not visible.any():
        return False
    x1, y1, x2, y2 = mask_box(visible)
    return x2 - x1 >= MIN_SIDE and y2 - y1 >= MIN_SIDE
