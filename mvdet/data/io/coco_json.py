"""COCO instances json: read and checked in one place, to train on and to judge by; and written."""

import json
import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from mvdet.data.io.boxes import bbox_fault, box_edges, box_fault, is_finite_number, is_whole_number
from mvdet.data.io.coco_masks import mask_polygons
from mvdet.data.io.contours import Instance
from mvdet.data.io.faults import BadData, Fault
from mvdet.data.io.ground_truth import CocoImage, GroundTruth, GroundTruthObject, distinct_names

Entry = Mapping[str, Any]

logger = logging.getLogger(__name__)

_LISTS = ("images", "annotations", "categories")


GroundTruthSource = GroundTruth | Mapping[str, Any] | str | Path


def read_ground_truth(source: GroundTruthSource, bad_data: BadData | None = None) -> GroundTruth:
    """Read and check COCO instances.

    Without `bad_data`, for scoring a file of results, everything that is wrong is an error, and what scoring can do
    without (sizes, file names, annotation ids) may be missing.

    With it, for a data set of pictures, only a structure that is not COCO is an error. Single items that cannot be used
    are reported there and left out: ids that occur twice, unknown images and categories, boxes without area or outside
    their image, bad areas and flags. Images must have a file name and a size, and annotations an id; masks are not
    kept, which are most of a file's content.

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
    class_names = _read_categories(categories, where)
    known = _read_images(images, where, bad_data)
    for name, found in (("images", known), ("categories", class_names)):
        if not found:
            raise ValueError(f"{where}: {name!r} is empty")
    objects = []
    seen: set[int] = set()
    for n, entry in enumerate(annotations):
        place = f"{where}: annotations[{n}]"
        item = _read_object(entry, known, class_names, place, strict=bad_data is None)
        if bad_data is not None:
            annotation_id = _id(entry, "id", place)
            fault = item if isinstance(item, Fault) else _fault_in_image(item, known)
            if annotation_id in seen:
                fault = Fault.DUPLICATE_ID
            seen.add(annotation_id)
            if fault is not None:
                image = known.get(entry["image_id"])
                name = "not listed" if image is None else image.file_name
                what = f"annotation {annotation_id} of image {entry['image_id']} ({name}): {_shortened(entry)}"
                bad_data.report(fault, what)
                continue
        assert not isinstance(item, Fault)
        objects.append(item)
    return GroundTruth(where, known, class_names, tuple(objects))


def read_json(file: str | Path) -> Any:
    """The content of a json file.

    Raises:
        FileNotFoundError: no such file.
        ValueError: not json; the message names the file.
    """
    try:
        return json.loads(Path(file).read_bytes())
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise ValueError(f"{file}: not json: {error}") from error


def without_group(categories: list[Entry], annotations: list[Entry], where: str) -> list[Entry]:
    """The categories but for a first one that no object has and that only names the group of all others.

    Roboflow's exports begin with such a category, with the id 0; it may bear the project's name, or that of a class.

    Args:
        categories: as in the json.
        annotations: as in the json.
        where: the file, for the log.
    """
    ids = [entry.get("id") for entry in categories]
    if not all(map(is_whole_number, ids)) or len(ids) < 2:
        return categories
    first, *others = sorted(categories, key=lambda entry: int(entry["id"]))
    names_the_group = all(entry.get("supercategory") == first.get("name") for entry in others)
    if not names_the_group or first.get("supercategory") == first.get("name"):
        return categories
    if any(entry.get("category_id") == first["id"] for entry in annotations):
        return categories
    logger.warning(
        "%s: category %s (%s) has no object and names the others' group: no class", where, first["id"], first["name"]
    )
    return others


def _lists(content: object, where: str) -> list[list[Entry]]:
    """Images, annotations and categories, each a list of objects."""
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
        for n, entry in enumerate(content[key]):
            if not isinstance(entry, Mapping):
                raise ValueError(f"{where}: {key}[{n}] must be an object, got {_kind(entry)}")
    return [content[key] for key in _LISTS]


def _read_images(entries: list[Entry], where: str, bad_data: BadData | None) -> dict[int, CocoImage]:
    images: dict[int, CocoImage] = {}
    for n, entry in enumerate(entries):
        image = _read_image(entry, f"{where}: images[{n}]", is_picture=bad_data is not None)
        if image.id not in images:
            images[image.id] = image
        elif bad_data is None:
            raise ValueError(f"{where}: images[{n}]: id {image.id} occurs twice")
        else:
            bad_data.report(Fault.DUPLICATE_ID, f"image {image.id} ({image.file_name})")
    return images


def _read_image(entry: Entry, where: str, *, is_picture: bool) -> CocoImage:
    sides: dict[str, int | None] = {"width": None, "height": None}
    for side in sides:
        value: Any = entry.get(side)
        if (is_picture or value is not None) and not (is_whole_number(value) and value > 0):
            raise ValueError(f"{where}: {side} must be a whole number of at least 1, got {value!r}")
        sides[side] = value
    name = entry.get("file_name", "")
    if is_picture and not (isinstance(name, str) and "file_name" in entry):
        raise ValueError(f"{where}: file_name must be a text, got {entry.get('file_name')!r}")
    return CocoImage(_id(entry, "id", where), str(name), sides["width"], sides["height"])


def _read_categories(entries: list[Entry], where: str) -> dict[int, str]:
    names: dict[int, str] = {}
    for n, entry in enumerate(entries):
        category_id = _id(entry, "id", f"{where}: categories[{n}]")
        name = entry.get("name")
        if not isinstance(name, str) or not name:
            raise ValueError(f"{where}: categories[{n}]: name must be a text, got {name!r}")
        if category_id in names:
            raise ValueError(f"{where}: categories[{n}]: id {category_id} occurs twice")
        names[category_id] = name
    return distinct_names(names)


def _read_object(
    entry: Entry, images: Mapping[int, CocoImage], class_names: Mapping[int, str], where: str, *, strict: bool
) -> GroundTruthObject | Fault:
    """One annotation; where it cannot be used an error if `strict`, which keeps masks too, or the reason if not."""
    if "id" in entry:
        where = f"{where} (id {entry['id']})"
    image_id, category_id, box = _id(entry, "image_id", where), _id(entry, "category_id", where), entry.get("bbox")
    if not isinstance(box, list | tuple):
        raise ValueError(f"{where}: bbox must be 4 finite numbers [x, y, width, height], got {box!r}")
    fault: tuple[Fault, str] | None
    if image_id not in images:
        fault = Fault.UNKNOWN_IMAGE, f"image_id {image_id} is not among the {len(images)} images"
    elif category_id not in class_names:
        fault = Fault.UNKNOWN_CATEGORY, f"category_id {category_id} is not among the categories, {_some(class_names)}"
    else:
        fault = bbox_fault(box) or _fault_beside_box(entry)
    if fault is not None:
        if strict:
            raise ValueError(f"{where}: {fault[1]}")
        return fault[0]
    x, y, width, height = map(float, box)
    area = float(entry.get("area", width * height))
    crowd, difficult = bool(entry.get("iscrowd")), bool(entry.get("difficult"))
    mask = entry.get("segmentation") if strict else None
    return GroundTruthObject(image_id, category_id, (x, y, width, height), area, crowd, difficult, mask)


def _fault_beside_box(entry: Entry) -> tuple[Fault, str] | None:
    area = entry.get("area", 0)
    if not is_finite_number(area) or area < 0:
        return Fault.BAD_AREA, f"area must be a number of 0 or more, got {area!r}"
    for key in ("iscrowd", "difficult"):
        if entry.get(key) not in (0, 1, None):
            return Fault.BAD_FLAG, f"{key} must be 0 or 1, got {entry[key]!r}"
    return None


def _fault_in_image(item: GroundTruthObject, images: Mapping[int, CocoImage]) -> Fault | None:
    image = images[item.image_id]
    assert image.width is not None
    assert image.height is not None
    return box_fault(box_edges(item.box_xywh), image.width, image.height)


def _id(entry: Entry, key: str, where: str) -> int:
    value = entry.get(key)
    if not is_whole_number(value):
        raise ValueError(f"{where}: {key} must be a whole number, got {value!r}")
    return int(value)  # type: ignore[arg-type]


def _kind(value: object) -> str:
    names = {dict: "an object", list: "a list", str: "a text", type(None): "null"}
    return names.get(type(value), type(value).__name__)


def _shortened(entry: Entry) -> str:
    text = repr({key: value for key, value in entry.items() if key != "segmentation"})
    return text if len(text) <= 200 else f"{text[:200]}..."


def _some(ids: Mapping[int, str], limit: int = 10) -> str:
    """The first few ids, for a message."""
    shown = ", ".join(map(str, list(ids)[:limit]))
    return f"{shown}, ... ({len(ids)} in all)" if len(ids) > limit else shown


class CocoAnnotations:
    """Collects images and objects, and writes them as one COCO json file.

    Args:
        class_names: category i + 1 is `class_names[i]`; COCO counts from 1.
        description: for the file's `info`.
    """

    def __init__(self, class_names: Sequence[str], description: str) -> None:
        self._content: dict[str, list[dict[str, Any]]] = {"images": [], "annotations": []}
        self._head: dict[str, Any] = {
            "info": {"description": description},
            "licenses": [],
            "categories": [{"id": index, "name": name} for index, name in enumerate(class_names, start=1)],
        }

    def add(self, image_id: int, file_name: str, width: int, height: int, instances: Sequence[Instance]) -> None:
        """Add an image and its objects.

        Args:
            image_id: unique in the file.
            file_name: relative to the image folder.
            width: in pixels.
            height: in pixels.
            instances: with masks of [height, width].

        Raises:
            ValueError: a mask has another size, or a label has no category.
        """
        self._content["images"].append({"id": image_id, "file_name": file_name, "width": width, "height": height})
        for instance in instances:
            if instance.mask.shape != (height, width):
                raise ValueError(f"{file_name}: mask of shape {instance.mask.shape}, image of {(height, width)}")
            classes = len(self._head["categories"])
            if not 0 <= instance.label < classes:
                raise ValueError(f"{file_name}: label {instance.label}, allowed are 0 to {classes - 1}")
            x1, y1, x2, y2 = instance.box
            self._content["annotations"].append(
                {
                    "id": len(self._content["annotations"]) + 1,
                    "image_id": image_id,
                    "category_id": instance.label + 1,
                    "bbox": [x1, y1, x2 - x1, y2 - y1],
                    "area": instance.area,
                    "iscrowd": 0,
                    "segmentation": mask_polygons(instance.mask),
                }
            )

    def write(self, file: Path) -> None:
        """Write the json file; its folder must exist."""
        file.write_text(json.dumps(self._head | self._content, separators=(",", ":")), encoding="utf-8")
