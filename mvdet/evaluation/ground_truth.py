"""The truth that detections are judged by: COCO instances json, checked and indexed once for every metric."""

from __future__ import annotations

import json
import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from numbers import Integral, Real
from pathlib import Path
from typing import Any


def mask_problem(segmentation: object, height: int | None, width: int | None) -> str | None:
    """What is wrong with a `segmentation` for an image of this size in pixels; None if nothing is.

    Polygons, run lengths as a list, and compressed run lengths are fine.
    """
    if height is None or width is None:
        return "masks need the width and height of their image in the ground truth"
    if isinstance(segmentation, list):
        return _polygons_problem(segmentation)
    if not isinstance(segmentation, dict) or "counts" not in segmentation:
        return f"segmentation must be polygons or run lengths {{'size', 'counts'}}, got {_short(segmentation)}"
    if segmentation.get("size") != [height, width]:
        return f"mask of size {segmentation.get('size')} in an image of [height, width] {[height, width]}"
    counts = segmentation["counts"]
    if isinstance(counts, str | bytes):
        try:
            counts = run_lengths(counts)
        except ValueError as error:
            return str(error)
    if not isinstance(counts, list) or not all(is_whole_number(run) and run >= 0 for run in counts):
        return f"run lengths must be whole numbers of 0 or more, got {_short(counts)}"
    if sum(counts) != height * width:
        return f"run lengths cover {sum(counts)} pixels of {height * width}"
    return None


def run_lengths(counts: str | bytes) -> list[int]:
    """Lengths of the runs of 0 and 1 in turn, column by column, from COCO's compressed text.

    The format is that of `rleFrString` in cocoapi's `common/maskApi.c`: five bits and a continuation bit per character,
    the last character's highest bit for the sign; from the fourth number on, differences to the last but one.

    Raises:
        ValueError: a character that does not occur in such a text, or the text ends within a number.
    """
    text = counts.encode() if isinstance(counts, str) else counts
    runs: list[int] = []
    value = shift = 0
    for character in text:
        bits = character - 48
        if not 0 <= bits < 64:
            raise ValueError(f"compressed run lengths consist of the characters 0 to o, got {_short(counts)}")
        value |= (bits & 0x1F) << shift
        shift += 5
        if not bits & 0x20:
            if bits & 0x10:
                value -= 1 << shift
            runs.append(value + runs[-2] if len(runs) > 2 else value)
            value = shift = 0
    if shift:
        raise ValueError(f"compressed run lengths end within a number: {_short(counts)}")
    return runs


def _polygons_problem(polygons: Sequence[Any]) -> str | None:
    # pycocotools takes four numbers for a box.
    whole = all(isinstance(polygon, list) and len(polygon) >= 6 and len(polygon) % 2 == 0 for polygon in polygons)
    if polygons and whole and all(is_finite_number(value) for polygon in polygons for value in polygon):
        return None
    return f"polygons must have three points [x, y, ...] or more, got {_short(polygons)}"


def _short(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:57]}..."


Box = tuple[float, float, float, float]


@dataclass(frozen=True, slots=True)
class ImageRecord:
    """One entry of `images`.

    Attributes:
        id: any whole number.
        file_name: relative to the image folder; empty where the json does not say.
        width, height: in pixels; None where the json does not say.
    """

    id: int
    file_name: str
    width: int | None
    height: int | None


@dataclass(frozen=True, slots=True)
class GroundTruthObject:
    """One entry of `annotations`.

    Attributes:
        image_id, category_id: as in the json.
        box_xywh: left, top, width, height in pixels; a width or height of 0 is allowed (no detection can hit it).
        area: of the object in square pixels, which decides what is small, medium or large; of the box where the json
            does not say.
        crowd: `iscrowd`: a region with many objects, neither found nor missed.
        difficult: VOC's flag, which a COCO json may carry as `difficult`; neither found nor missed in VOC AP and in the
            list of mistakes. The COCO numbers know no such flag and count the object.
        segmentation: polygons or run lengths as in the json, or None.
    """

    image_id: int
    category_id: int
    box_xywh: Box
    area: float
    crowd: bool = False
    difficult: bool = False
    segmentation: list[Any] | dict[str, Any] | None = None

    @property
    def counts(self) -> bool:
        """Whether to find or to miss it says anything: neither a crowd nor difficult."""
        return not (self.crowd or self.difficult)


@dataclass(frozen=True)
class GroundTruth:
    """Images, classes and objects.

    Attributes:
        source: the file, or "ground truth" where it came as a dict; for messages.
        images: by id, in the json's order.
        class_names: by category id, ascending. Two categories of one name get their ids into it: `apple (id 0)`.
        objects: in the json's order. Annotation ids are not kept: no metric needs them, and the COCO evaluators take an
            annotation with id 0 for "no match" and one of two with the same id for both.
    """

    source: str
    images: dict[int, ImageRecord]
    class_names: dict[int, str]
    objects: tuple[GroundTruthObject, ...]

    def objects_by_image(self) -> dict[int, list[GroundTruthObject]]:
        """The objects of every image, images without objects included."""
        groups: dict[int, list[GroundTruthObject]] = {image_id: [] for image_id in self.images}
        for item in self.objects:
            groups[item.image_id].append(item)
        return groups


GroundTruthSource = GroundTruth | Mapping[str, Any] | str | Path


def read_ground_truth(source: GroundTruthSource) -> GroundTruth:
    """Read and check COCO instances ground truth.

    Args:
        source: a json file, its content, or what this function returned before.

    Raises:
        FileNotFoundError: no such file.
        ValueError: not COCO instances: the message names the file, the entry (counted from 0) or the annotation's id,
            and what is wrong with it.
    """
    if isinstance(source, GroundTruth):
        return source
    where = "ground truth" if isinstance(source, Mapping) else str(source)
    content = source if isinstance(source, Mapping) else read_json(source)
    if not isinstance(content, Mapping):
        raise ValueError(f"{where}: COCO ground truth must be an object, got {_kind(content)}")
    images: dict[int, ImageRecord] = {}
    for n, entry in enumerate(_entries(content, "images", where)):
        image = _read_image(entry, f"{where}: images[{n}]")
        if image.id in images:
            raise ValueError(f"{where}: images[{n}]: id {image.id} occurs twice")
        images[image.id] = image
    class_names = _read_categories(_entries(content, "categories", where), where)
    for name, found in (("images", images), ("categories", class_names)):
        if not found:
            raise ValueError(f"{where}: {name!r} is empty: there is nothing to evaluate")
    objects = tuple(
        _read_object(entry, images, class_names, f"{where}: annotations[{n}]")
        for n, entry in enumerate(_entries(content, "annotations", where))
    )
    return GroundTruth(where, images, class_names, objects)


def read_json(file: str | Path) -> Any:
    """The content of a json file.

    Raises:
        FileNotFoundError: no such file.
        ValueError: not json; the message names the file.
    """
    try:
        return json.loads(Path(file).read_text(encoding="utf-8"))
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise ValueError(f"{file}: not json: {error}") from error


def is_whole_number(value: object) -> bool:
    """An integer, of Python or numpy, that is not a bool."""
    return type(value) is int or (isinstance(value, Integral) and not isinstance(value, bool))


def is_finite_number(value: object) -> bool:
    """A number, of Python or numpy, that is not a bool, not infinite and not NaN."""
    if type(value) is float:  # most are, and the general question takes several times as long
        return math.isfinite(value)
    return isinstance(value, Real) and not isinstance(value, bool) and math.isfinite(value)


def box_problem(box: object) -> str | None:
    """What is wrong with a value as a COCO `bbox`; None if nothing is."""
    if not isinstance(box, Sequence) or isinstance(box, str) or len(box) != 4 or not all(map(is_finite_number, box)):
        return f"bbox must be 4 finite numbers [x, y, width, height], got {box!r}"
    if box[2] < 0 or box[3] < 0:
        return f"bbox must have a width and height of 0 or more, got {list(box)!r}"
    return None


def _entries(content: Mapping[str, Any], key: str, where: str) -> list[Mapping[str, Any]]:
    if key not in content:
        raise ValueError(f"{where}: COCO ground truth must have {key!r}, got the keys {sorted(map(str, content))}")
    entries = content[key]
    if not isinstance(entries, list):
        raise ValueError(f"{where}: {key!r} must be a list, got {_kind(entries)}")
    for n, entry in enumerate(entries):
        if not isinstance(entry, Mapping):
            raise ValueError(f"{where}: {key}[{n}] must be an object, got {_kind(entry)}")
    return entries


def _read_image(entry: Mapping[str, Any], where: str) -> ImageRecord:
    sides: dict[str, int | None] = {"width": None, "height": None}
    for side in sides:
        value = entry.get(side)
        if value is not None and not (is_whole_number(value) and value > 0):
            raise ValueError(f"{where}: {side} must be a whole number of at least 1, got {value!r}")
        sides[side] = value
    return ImageRecord(_id(entry, "id", where), str(entry.get("file_name", "")), sides["width"], sides["height"])


def _read_categories(entries: list[Mapping[str, Any]], where: str) -> dict[int, str]:
    names: dict[int, str] = {}
    for n, entry in enumerate(entries):
        category_id = _id(entry, "id", f"{where}: categories[{n}]")
        name = entry.get("name")
        if not isinstance(name, str) or not name:
            raise ValueError(f"{where}: categories[{n}]: name must be a text, got {name!r}")
        if category_id in names:
            raise ValueError(f"{where}: categories[{n}]: id {category_id} occurs twice")
        names[category_id] = name
    uses = Counter(names.values())
    return {key: name if uses[name] == 1 else f"{name} (id {key})" for key, name in sorted(names.items())}


def _read_object(
    entry: Mapping[str, Any], images: Mapping[int, ImageRecord], class_names: Mapping[int, str], where: str
) -> GroundTruthObject:
    if "id" in entry:
        where = f"{where} (id {entry['id']})"
    image_id, category_id = _id(entry, "image_id", where), _id(entry, "category_id", where)
    if image_id not in images:
        raise ValueError(f"{where}: image_id {image_id} is not among the {len(images)} images")
    if category_id not in class_names:
        raise ValueError(f"{where}: category_id {category_id} is not among the categories, {_some(class_names)}")
    box = entry.get("bbox")
    if problem := box_problem(box):
        raise ValueError(f"{where}: {problem}")
    assert box is not None  # a box without a problem
    x, y, width, height = map(float, box)
    area = entry.get("area", width * height)
    if not is_finite_number(area) or area < 0:
        raise ValueError(f"{where}: area must be a number of 0 or more, got {area!r}")
    crowd, difficult = (_flag(entry, key, where) for key in ("iscrowd", "difficult"))
    return GroundTruthObject(
        image_id, category_id, (x, y, width, height), float(area), crowd, difficult, entry.get("segmentation")
    )


def _id(entry: Mapping[str, Any], key: str, where: str) -> int:
    value = entry.get(key)
    if not is_whole_number(value):
        raise ValueError(f"{where}: {key} must be a whole number, got {value!r}")
    return int(value)  # type: ignore[arg-type]


def _flag(entry: Mapping[str, Any], key: str, where: str) -> bool:
    value = entry.get(key, 0)
    if value not in (0, 1):
        raise ValueError(f"{where}: {key} must be 0 or 1, got {value!r}")
    return bool(value)


def _kind(value: object) -> str:
    names = {dict: "an object", list: "a list", str: "a text", type(None): "null"}
    return names.get(type(value), type(value).__name__)


def _some(ids: Mapping[int, str], limit: int = 10) -> str:
    """The first few ids, for a message."""
    shown = ", ".join(map(str, list(ids)[:limit]))
    return f"{shown}, ... ({len(ids)} in all)" if len(ids) > limit else shown
