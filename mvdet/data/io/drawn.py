"""Shapes as labelme and the VGG Image Annotator (VIA) write them into json: their classes and the boxes around them."""

import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from mvdet.data.io.boxes import Box, is_finite_number, is_whole_number
from mvdet.data.io.faults import BadData, BadItemError, Fault
from mvdet.wording import listed, plain

_CLASS_KEYS = ("class", "label", "name", "type", "category", "object", "class_name")
"""What the attribute of VIA's regions that holds the class is called, the first that occurs."""

_MAX_SIDE = 2**31 - 1

ONLY_CLASS = "object"
"""The class of regions without any attribute."""


class Shape(NamedTuple):
    """One shape: its number in the file from 1, its class, and the box around it xyxy in pixels, or what is wrong."""

    number: int
    name: str
    box: Box | str


class ShapesOfImage(NamedTuple):
    """An image as a json file has it: its file name, its size where the file says so, and its shapes."""

    name: str
    size: tuple[int, int] | None
    shapes: tuple[Shape, ...]


def read_labelme(content: object, file: Path) -> ShapesOfImage:
    """The content of a labelme file.

    Raises:
        BadItemError: not labelme's; names the file.
    """
    if not isinstance(content, Mapping) or not isinstance(content.get("shapes"), list):
        raise BadItemError(
            Fault.UNREADABLE_ANNOTATION,
            f"{file}: labelme's files are objects with a list of shapes, got {plain(content)}",
        )
    shapes = [_labelme_shape(number, entry) for number, entry in enumerate(content["shapes"], start=1)]
    sides: list[Any] = [content.get(key) for key in ("imageWidth", "imageHeight")]
    is_size = all(is_whole_number(side) and 0 < side <= _MAX_SIDE for side in sides)
    size = (int(sides[0]), int(sides[1])) if is_size else None
    name = content.get("imagePath")
    return ShapesOfImage(name if isinstance(name, str) else "", size, tuple(shapes))


def _labelme_shape(number: int, entry: object) -> Shape:
    if not isinstance(entry, Mapping) or not isinstance(entry.get("label"), str) or not entry["label"]:
        return Shape(number, "", f"label must be a text, got {plain(entry)}")
    points = entry.get("points")
    if not isinstance(points, list) or not all(_is_point(point) for point in points):
        return Shape(number, entry["label"], f"points must be pairs of numbers, got {plain(points)}")
    xs, ys = [point[0] for point in points], [point[1] for point in points]
    if entry.get("shape_type") == "circle" and len(points) == 2:
        radius = math.hypot(xs[0] - xs[1], ys[0] - ys[1])
        return Shape(number, entry["label"], (xs[0] - radius, ys[0] - radius, xs[0] + radius, ys[0] + radius))
    return Shape(number, entry["label"], _around(xs, ys))


def _is_point(point: object) -> bool:
    return isinstance(point, list) and len(point) == 2 and all(map(is_finite_number, point))


def _around(xs: Sequence[float], ys: Sequence[float]) -> Box | str:
    if not xs or len(xs) != len(ys):
        return f"points wanted, got {len(xs)} x and {len(ys)} y"
    return min(xs), min(ys), max(xs), max(ys)


def read_via(content: object, file: Path, bad_data: BadData) -> list[ShapesOfImage]:
    """The content of a VIA file: of an export, or of a whole project; entries that cannot be used are reported.

    Raises:
        ValueError: not VIA's, or several attributes may be the class; names the file.
    """
    if isinstance(content, Mapping):
        content = content.get("_via_img_metadata", content)
    entries = list(content.values()) if isinstance(content, Mapping) else content
    if not isinstance(entries, list):
        raise ValueError(f"{file}: VIA's files are an object with one entry an image, got {plain(content)}")
    images = []
    for number, entry in enumerate(entries, start=1):
        try:
            images.append(_image(entry, f"{file}: entry {number}"))
        except BadItemError as error:
            bad_data.report(error.fault, str(error))
    key = _class_key((region for _, regions in images for region in regions), file)
    return [
        ShapesOfImage(name, None, tuple(_via_shape(number, one, key) for number, one in enumerate(regions, start=1)))
        for name, regions in images
    ]


def _image(entry: object, where: str) -> tuple[str, list[Any]]:
    """The file name and the regions of an entry; raises BadItemError."""
    if not isinstance(entry, Mapping):
        raise BadItemError(Fault.BAD_IMAGE, f"{where}: must be an object, got {plain(entry)}")
    name, regions = entry.get("filename"), entry.get("regions")
    if not isinstance(name, str) or not name.strip() or "\0" in name:
        raise BadItemError(Fault.BAD_IMAGE, f"{where}: filename must be a text, got {plain(name)}")
    regions = list(regions.values()) if isinstance(regions, Mapping) else regions
    if not isinstance(regions, list):
        raise BadItemError(Fault.BAD_IMAGE, f"{where}: {name}: regions must be a list, got {plain(regions)}")
    return name, regions


def _attributes(region: object) -> Mapping[str, Any]:
    """What is said of a region beside its shape."""
    attributes = region.get("region_attributes") if isinstance(region, Mapping) else None
    return attributes if isinstance(attributes, Mapping) else {}


def _class_key(regions: Iterable[object], file: Path) -> str | None:
    """The attribute that holds the class; None where regions have no attribute."""
    uses = Counter(key for region in regions for key in _attributes(region))
    if not uses:
        return None
    lowered = {key.lower(): key for key in uses}
    known = next((lowered[key] for key in _CLASS_KEYS if key in lowered), None)
    if known is None and len(uses) > 1:
        raise ValueError(
            f"{file}: which attribute of the regions is the class? There are {listed(uses)}; name it class"
        )
    return known if known is not None else str(next(iter(uses)))


def _via_shape(number: int, region: object, key: str | None) -> Shape:
    if not isinstance(region, Mapping):
        return Shape(number, "", f"must be an object, got {plain(region)}")
    name = ONLY_CLASS if key is None else _attributes(region).get(key, "")
    if isinstance(name, Mapping):  # check boxes
        chosen = [one for one, is_on in name.items() if is_on]
        name = chosen[0] if len(chosen) == 1 else ""
    name = str(name).strip()
    shape = region.get("shape_attributes")
    if not name:
        return Shape(number, "", f"{key} is empty in {plain(region.get('region_attributes'))}")
    if not isinstance(shape, Mapping):
        return Shape(number, name, f"shape_attributes are missing in {plain(region)}")
    return Shape(number, name, _via_box(shape))


def _via_box(shape: Mapping[str, Any]) -> Box | str:
    def numbers(*keys: str) -> list[float] | None:
        values = [shape.get(key) for key in keys]
        return values if all(map(is_finite_number, values)) else None  # type: ignore[return-value]

    xs, ys = shape.get("all_points_x"), shape.get("all_points_y")
    if isinstance(xs, list) and isinstance(ys, list) and all(map(is_finite_number, [*xs, *ys])):
        return _around(xs, ys)
    if values := numbers("x", "y", "width", "height"):
        x, y, width, height = values
        return x, y, x + width, y + height
    if values := numbers("cx", "cy", "rx", "ry") or numbers("cx", "cy", "r", "r"):
        x, y, across, down = values
        return x - across, y - down, x + across, y + down
    return f"no box in {plain(shape)}"
