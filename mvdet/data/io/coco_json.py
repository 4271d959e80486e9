"""COCO instances json: read and checked in one place, to train on and to judge by."""

import json
import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from mvdet.data.io.boxes import Box, bbox_fault, box_edges, box_fault, is_finite_number, is_whole_number
from mvdet.data.io.faults import BadData, BadItemError, Fault
from mvdet.data.io.ground_truth import CocoImage, GroundTruth, GroundTruthObject, distinct_names
from mvdet.data.io.text import read_text

Entry = Mapping[str, Any]

logger = logging.getLogger(__name__)

_LISTS = ("images", "annotations", "categories")
_LEAST_ID, _GREATEST_ID = -(1 << 63), (1 << 64) - 1  # of an image, whose id goes through tensors
_MAX_SIDE = 2**31 - 1


GroundTruthSource = GroundTruth | Mapping[str, Any] | str | Path


def read_ground_truth(source: GroundTruthSource, bad_data: BadData | None = None) -> GroundTruth:
    """Read and check COCO instances.

    Without `bad_data`, for scoring a file of results, everything that is wrong is an error, and what scoring can do
    without (sizes, file names, annotation ids) may be missing.

    With it, for a data set of pictures, only a structure that is not COCO is an error. Single entries that cannot be
    used are reported there and left out: images without an id, a file name and a size, categories without an id and a
    name, ids that occur twice, unknown images and categories, boxes without area or outside their image, bad areas and
    flags. What a data set does not use is not judged: ids of annotations that are missing, and masks, which are most of
    a file's content and are not kept. An `area` that is null is the box's.

    Args:
        source: a json file, its content, or what this function returned before, which is returned as it is.
        bad_data: collects the items that are left out; its `finish()` is not called here.

    Raises:
        FileNotFoundError: no such file.
        ValueError: not COCO instances: the message names the file, the entry (counted from 0) or the annotation's id,
            and what is wrong with it.
    """
    if isinstance(source, GroundTruth):
        return source
    where = "ground truth" if isinstance(source, Mapping) else str(source)
    images, annotations, categories = _lists(source if isinstance(source, Mapping) else read_json(source), where)
    if bad_data is not None:
        categories = without_group(categories, annotations, where)
    class_names = _read_categories(categories, where, bad_data)
    left_out: set[int] = set()
    known = _read_images(images, where, bad_data, left_out)
    for name, entries, found in (("images", images, known), ("categories", categories, class_names)):
        if not entries:
            raise ValueError(f"{where}: {name!r} is empty")
        if not found:
            assert bad_data is not None
            raise ValueError(f"{where}: no entry of {name!r} can be used; {bad_data.summary()}")
    objects = []
    seen: set[int] = set()
    for n, entry in enumerate(annotations):
        try:
            if bad_data is not None:
                _check_unseen(entry, seen)
            objects.append(_read_object(entry, known, class_names, is_picture=bad_data is not None))
        except BadItemError as error:
            place, is_entry = f"annotations[{n}]", isinstance(entry, Mapping)
            if bad_data is None:
                place += f" (id {entry['id']})" if is_entry and "id" in entry else ""
                raise ValueError(f"{where}: {place}: {error}") from error
            if error.fault is Fault.UNKNOWN_IMAGE and entry["image_id"] in left_out:
                continue  # reported with its image
            if is_entry and "id" in entry and is_whole_number(image_id := entry.get("image_id")):
                image = known.get(as_int64(image_id))
                name = "not listed" if image is None else image.file_name
                place = f"annotation {entry['id']} of image {image_id} ({name})"
            bad_data.report(error.fault, f"{place}: {error}")
    return GroundTruth(where, known, class_names, tuple(objects))


def _check_unseen(entry: object, seen: set[int]) -> None:
    """Raises BadItemError for an annotation with the id of one before it; one without an id is no fault."""
    annotation_id: Any = entry.get("id") if isinstance(entry, Mapping) else None
    if not is_whole_number(annotation_id):
        return
    if annotation_id in seen:
        raise BadItemError(Fault.DUPLICATE_ID, f"id {annotation_id} occurs twice")
    seen.add(annotation_id)


def read_json(file: str | Path) -> Any:
    """The content of a json file, in UTF-8, 16 or 32 with or without a byte order mark, or see `mvdet.data.io.text`.

    Raises:
        FileNotFoundError: no such file.
        ValueError: not json; the message names the file.
    """
    data = Path(file).read_bytes()
    try:
        try:
            return json.loads(data)
        except UnicodeDecodeError:
            return json.loads(read_text(file))
    except RecursionError as error:
        raise ValueError(f"{file}: not json that can be read: too many lists in lists") from error
    except ValueError as error:
        raise ValueError(f"{file}: not json: {str(error).removeprefix(f'{file}: ')}") from error


def without_group(categories: list[Any], annotations: list[Any], where: str) -> list[Any]:
    """The categories but for a first one that no object has and that only names the group of all others.

    Roboflow's exports begin with such a category, with the id 0; it may bear the project's name, or that of a class.

    Args:
        categories: as in the json; those that are no categories are left as they are.
        annotations: as in the json.
        where: the file, for the log.
    """
    known = [entry for entry in categories if isinstance(entry, Mapping) and is_whole_number(entry.get("id"))]
    if len(known) < 2:
        return categories
    first, *others = sorted(known, key=lambda entry: int(entry["id"]))
    group = first.get("name")
    names_the_group = isinstance(group, str) and all(entry.get("supercategory") == group for entry in others)
    if not names_the_group or first.get("supercategory") == group:
        return categories
    if any(isinstance(entry, Mapping) and entry.get("category_id") == first["id"] for entry in annotations):
        return categories
    logger.warning(
        "%s: category %s (%s) has no object and names the others' group: no class", where, first["id"], group
    )
    return [entry for entry in categories if entry is not first]


def _lists(content: object, where: str) -> list[list[Any]]:
    """Images, annotations and categories, each a list."""
    if not isinstance(content, Mapping):
        hint = "; it may be a file of results" if isinstance(content, list) else ""
        raise ValueError(f"{where}: COCO instances must be an object, got {_kind(content)}{hint}")
    missing = [key for key in _LISTS if key not in content]
    if missing:
        keys = ", ".join(map(str, content)) or "none"
        raise ValueError(f"{where}: not COCO instances: no {', '.join(missing)}; its keys are {keys}")
    for key in _LISTS:
        if not isinstance(content[key], list):
            raise ValueError(f"{where}: {key!r} must be a list, got {_kind(content[key])}")
    return [content[key] for key in _LISTS]


def _read_images(entries: list[Any], where: str, bad_data: BadData | None, left_out: set[int]) -> dict[int, CocoImage]:
    """The images by the ids that are used; the ids of those that cannot be used are added to `left_out`."""
    images: dict[int, CocoImage] = {}
    for n, entry in enumerate(entries):
        try:
            image = _read_image(entry, is_picture=bad_data is not None)
            key = image.id if bad_data is None else as_int64(image.id)
            if key in images:
                raise BadItemError(Fault.DUPLICATE_ID, f"id {image.id} occurs twice")
            images[key] = image
        except BadItemError as error:
            place = f"images[{n}]"
            if bad_data is None:
                raise ValueError(f"{where}: {place}: {error}") from error
            if isinstance(entry, Mapping) and is_whole_number(entry.get("id")):
                left_out.add(entry["id"])
                place = f"image {entry['id']} ({entry.get('file_name')})"
            bad_data.report(error.fault, f"{place}: {error}")
    return images


def _read_image(entry: object, *, is_picture: bool) -> CocoImage:
    """One image; raises BadItemError, where `is_picture` also for what a picture needs."""
    entry = _object(entry, Fault.BAD_IMAGE)
    sides: dict[str, int | None] = {"width": None, "height": None}
    for side in sides:
        value: Any = entry.get(side)
        if (is_picture or value is not None) and not (is_whole_number(value) and 0 < value <= _MAX_SIDE):
            raise BadItemError(Fault.BAD_IMAGE, f"{side} must be a whole number of at least 1, got {_short(value)}")
        sides[side] = value
    name = entry.get("file_name", "")
    if is_picture and not (isinstance(name, str) and name.strip() and "\0" not in name):
        raise BadItemError(Fault.BAD_IMAGE, f"file_name must be a text, got {_short(entry.get('file_name'))}")
    image_id = _id(entry, "id", Fault.BAD_IMAGE)
    if is_picture and not _LEAST_ID <= image_id <= _GREATEST_ID:
        raise BadItemError(Fault.BAD_IMAGE, f"id must be from {_LEAST_ID} to {_GREATEST_ID}, got {image_id}")
    return CocoImage(image_id, str(name), sides["width"], sides["height"])


def as_int64(image_id: int) -> int:
    """An image id as tensors and arrays hold it: from 2^63 on, the int64 of the same bits."""
    return image_id if image_id < 1 << 63 else image_id - (1 << 64)


def _read_categories(entries: list[Any], where: str, bad_data: BadData | None) -> dict[int, str]:
    names: dict[int, str] = {}
    for n, item in enumerate(entries):
        try:
            entry = _object(item, Fault.BAD_CATEGORY)
            category_id = _id(entry, "id", Fault.BAD_CATEGORY)
            name = entry.get("name")
            if not isinstance(name, str) or not name:
                raise BadItemError(Fault.BAD_CATEGORY, f"name must be a text, got {_short(name)}")
            if category_id in names:
                raise BadItemError(Fault.DUPLICATE_ID, f"id {category_id} occurs twice")
        except BadItemError as error:
            if bad_data is None:
                raise ValueError(f"{where}: categories[{n}]: {error}") from error
            bad_data.report(error.fault, f"categories[{n}]: {error}")
            continue
        names[category_id] = name
    return distinct_names(names)


def _read_object(
    item: object, images: Mapping[int, CocoImage], class_names: Mapping[int, str], *, is_picture: bool
) -> GroundTruthObject:
    """One annotation; raises BadItemError. With `is_picture`, its box must lie in its image, and masks are not kept."""
    entry = _object(item, Fault.BAD_ID)
    image_id, category_id = _id(entry, "image_id", Fault.BAD_ID), _id(entry, "category_id", Fault.BAD_ID)
    key = as_int64(image_id) if is_picture else image_id
    if key not in images or images[key].id != image_id:
        raise BadItemError(Fault.UNKNOWN_IMAGE, f"image_id {image_id} is not among the {len(images)} images")
    if category_id not in class_names:
        known = _some(class_names)
        raise BadItemError(Fault.UNKNOWN_CATEGORY, f"category_id {category_id} is not among the categories, {known}")
    box: Any = entry.get("bbox")
    if fault := bbox_fault(box) or _fault_beside_box(entry):
        raise BadItemError(*fault)
    x, y, width, height = map(float, box)
    if is_picture and (reason := _fault_in_image((x, y, width, height), images[key])):
        size = f"{images[key].width} x {images[key].height}"
        raise BadItemError(reason, f"bbox {_short(box)} [x, y, width, height], image of {size} pixels")
    area = entry.get("area")
    crowd, difficult = bool(entry.get("iscrowd")), bool(entry.get("difficult"))
    mask = None if is_picture else entry.get("segmentation")
    area = width * height if area is None else float(area)
    return GroundTruthObject(key, category_id, (x, y, width, height), area, crowd, difficult, mask)


def _fault_beside_box(entry: Entry) -> tuple[Fault, str] | None:
    area = entry.get("area")
    if area is not None and (not is_finite_number(area) or area < 0):
        return Fault.BAD_AREA, f"area must be a number of 0 or more, got {_short(area)}"
    for key in ("iscrowd", "difficult"):
        if entry.get(key) not in (0, 1, None):
            return Fault.BAD_FLAG, f"{key} must be 0 or 1, got {_short(entry[key])}"
    return None


def _fault_in_image(box: Box, image: CocoImage) -> Fault | None:
    assert image.width is not None
    assert image.height is not None
    return box_fault(box_edges(box), image.width, image.height)


def _object(entry: object, fault: Fault) -> Entry:
    if not isinstance(entry, Mapping):
        raise BadItemError(fault, f"must be an object, got {_kind(entry)}")
    return entry


def _id(entry: Entry, key: str, fault: Fault) -> int:
    value: Any = entry.get(key)
    if not is_whole_number(value):
        raise BadItemError(fault, f"{key} must be a whole number, got {_short(value)}")
    return int(value)


def _kind(value: object) -> str:
    names = {dict: "an object", list: "a list", str: "a text", type(None): "null"}
    return names.get(type(value), type(value).__name__)


def _short(value: object) -> str:
    """A value for a message, on one line."""
    text = repr(value)
    return text if len(text) <= 100 else f"{text[:100]}..."


def _some(ids: Mapping[int, str], limit: int = 10) -> str:
    """The first few ids, for a message."""
    shown = ", ".join(map(str, list(ids)[:limit]))
    return f"{shown}, ... ({len(ids)} in all)" if len(ids) > limit else shown
