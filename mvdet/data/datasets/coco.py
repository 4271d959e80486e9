"""COCO detection data: an instances json and a folder of images, straight from disk."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from mvdet.data.datasets.detection import DetectionDataset, Size, TransformFactory
from mvdet.data.datasets.records import ImageRecord, ObjectRow, pack_objects
from mvdet.data.io.faults import DEFAULT_POLICY, BadData, BadDataPolicy, Fault, box_fault, clip_box

YEARS = ("2017", "2014")
"""COCO's releases, whose files are named `instances_train2017.json` and `train2017/`; the newer one is tried first."""

_LISTS = ("images", "annotations", "categories")
_IMAGE_KEYS = {"id": int, "file_name": str, "width": int, "height": int}
_ANNOTATION_KEYS = {"id": int, "image_id": int, "category_id": int, "bbox": list}
_CATEGORY_KEYS = {"id": int, "name": str}


class CocoFiles(NamedTuple):
    """Where a split lies: its instances json and its folder of images."""

    annotations: Path
    images: Path


def coco_split(root: str | Path, split: str) -> CocoFiles:
    """Find a split's files in a data set's folder.

    COCO's own layout is known (`annotations/instances_{split}2017.json` with `{split}2017/`, also 2014 and without a
    year) and that of mvdet's `shapes` (`annotations/instances_{split}.json` with `images/{split}/`), in any mixture. A
    year that `split` names itself ("val2014") is kept to.

    Args:
        root: the data set's folder.
        split: "train", "val", "train2017" ...

    Raises:
        FileNotFoundError: nothing was found; the message lists what was looked for.
    """
    root = Path(root).expanduser()
    names = [split, *(split + year for year in YEARS)]
    jsons = [root / "annotations" / f"instances_{name}.json" for name in names]
    found = next(((name, file) for name, file in zip(names, jsons, strict=True) if file.is_file()), None)
    if found is None:
        raise FileNotFoundError(f"no COCO annotations of split {split!r}; looked for {', '.join(map(str, jsons))}")
    name, annotations = found
    folders = [root / prefix / name for name in dict.fromkeys((name, split)) for prefix in ("", "images")]
    images = next((folder for folder in folders if folder.is_dir()), None)
    if images is None:
        raise FileNotFoundError(f"no images for {annotations}; looked for the folders {', '.join(map(str, folders))}")
    return CocoFiles(annotations, images)


class CocoDetection(DetectionDataset):
    """An instances json with its images.

    Labels follow ascending category id, from 1, whatever the ids are. Crowds and images without objects are kept; see
    `DetectionDataset` for what becomes of them. `area` is the annotation's, or its box's where it gives none.

    Args:
        annotations: the json file.
        images: the folder that its file names are relative to.
        train, transform, size, seed, check_files: see `DetectionDataset`.
        on_bad_data: what happens to bad items, see `mvdet.data.io.faults`.

    Raises:
        FileNotFoundError: no such json file or folder.
        ValueError: the file is not COCO instances, under either policy; bad items under "error"; nothing usable.
    """

    def __init__(
        self,
        annotations: str | Path,
        images: str | Path,
        *,
        train: bool,
        on_bad_data: BadDataPolicy = DEFAULT_POLICY,
        transform: TransformFactory | None = None,
        size: Size = (320, 320),
        seed: int | None = None,
        check_files: bool = True,
    ) -> None:
        self.annotation_file = Path(annotations)
        folder = Path(images)
        if not folder.is_dir():
            raise FileNotFoundError(f"{folder} is not a folder; the images of {annotations} were expected in it")
        bad_data = BadData(self.annotation_file, on_bad_data)
        content = _load(self.annotation_file)
        categories = {item["id"]: item["name"] for item in content["categories"]}
        category_ids = sorted(categories)
        super().__init__(
            _records(content, folder, {category: label for label, category in enumerate(category_ids, 1)}, bad_data),
            [categories[category] for category in category_ids],
            category_ids,
            bad_data,
            train=train,
            transform=transform,
            size=size,
            seed=seed,
            check_files=check_files,
        )

    def coco_ground_truth(self) -> dict[str, Any]:
        """The json file's own content less what was left out, so that scores are those of the file, to the last digit.

        `iscrowd` and `area` are filled in where the file lacks them. Where an annotation has the id 0 all are numbered
        anew, from 1: pycocotools writes 0 for "no match" (`COCOeval.evaluateImg`) and would count that object's
        detection as false. The file is read again, for its content is not kept in memory.
        """
        content = _load(self.annotation_file)
        image_ids = set(self.records.image_ids.tolist())
        images = {item["id"]: item for item in reversed(content["images"]) if item["id"] in image_ids}
        usable = set(self.records.objects["annotation_id"].tolist())
        first = {item["id"]: item for item in reversed(content["annotations"]) if item["id"] in usable}
        annotations = [
            {"iscrowd": 0, "area": item["bbox"][2] * item["bbox"][3]} | item for item in reversed(first.values())
        ]
        if 0 in usable:
            annotations = [item | {"id": number} for number, item in enumerate(annotations, start=1)]
        return content | {"images": list(reversed(images.values())), "annotations": annotations}


def _load(file: Path) -> dict[str, Any]:
    """The content of an instances json, its structure checked."""
    try:
        content = json.loads(file.read_bytes())
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise ValueError(f"{file}: not a json file: {error}") from error
    if not isinstance(content, dict):
        hint = "; it may be a file of results" if isinstance(content, list) else ""
        raise ValueError(f"{file}: COCO annotations are a json object, got {type(content).__name__}{hint}")
    missing = [key for key in _LISTS if not isinstance(content.get(key), list)]
    if missing:
        raise ValueError(
            f"{file}: not COCO instances: no list {', '.join(missing)}; its keys are {', '.join(content) or 'none'}"
        )
    for key, wanted in zip(_LISTS, (_IMAGE_KEYS, _ANNOTATION_KEYS, _CATEGORY_KEYS), strict=True):
        for number, item in enumerate(content[key]):
            _check_keys(item, wanted, f"{file}: {key}[{number}]")
    for number, image in enumerate(content["images"]):
        if min(image["width"], image["height"]) < 1:
            raise ValueError(f"{file}: images[{number}]: width and height must be at least 1, got {image}")
    ids = [item["id"] for item in content["categories"]]
    if not ids or len(set(ids)) < len(ids):
        raise ValueError(f"{file}: categories must be one at least, each with its own id, got the ids {ids}")
    return content


def _check_keys(item: object, wanted: Mapping[str, type], where: str) -> None:
    if not isinstance(item, dict):
        raise ValueError(f"{where}: must be a json object, got {item!r}")
    for key, kind in wanted.items():
        value = item.get(key)
        if not isinstance(value, kind) or isinstance(value, bool):
            raise ValueError(f"{where}: {key!r} must be {kind.__name__}, got {value!r} in {_shortened(item)}")


def _shortened(item: Mapping[str, Any]) -> str:
    text = repr({key: value for key, value in item.items() if key != "segmentation"})
    return text if len(text) <= 200 else f"{text[:200]}..."


def _records(
    content: Mapping[str, Any], folder: Path, labels: Mapping[int, int], bad_data: BadData
) -> list[ImageRecord]:
    """The file's images with their usable objects; everything else is reported."""
    images: dict[int, dict[str, Any]] = {}
    for image in content["images"]:
        if image["id"] in images:
            bad_data.report(Fault.DUPLICATE_ID, f"image {image['id']} ({image['file_name']})")
        else:
            images[image["id"]] = image
    rows: dict[int, list[ObjectRow]] = {image_id: [] for image_id in images}
    seen: set[int] = set()
    for item in content["annotations"]:
        fault = Fault.DUPLICATE_ID if item["id"] in seen else _annotation_fault(item, images, labels)
        seen.add(item["id"])
        if fault is not None:
            image = images.get(item["image_id"], {})
            bad_data.report(
                fault,
                f"annotation {item['id']} of image {item['image_id']} ({image.get('file_name', 'not listed')}): "
                f"{_shortened(item)}",
            )
            continue
        image = images[item["image_id"]]
        box = clip_box(_edges(item["bbox"]), image["width"], image["height"])
        area = item.get("area", item["bbox"][2] * item["bbox"][3])
        crowd = bool(item.get("iscrowd", 0))
        rows[image["id"]].append((box, labels[item["category_id"]], float(area), crowd, False, item["id"]))
    return [
        ImageRecord(
            str(folder / image["file_name"]), image_id, image["width"], image["height"], pack_objects(rows[image_id])
        )
        for image_id, image in images.items()
    ]


def _annotation_fault(
    item: Mapping[str, Any], images: Mapping[int, Mapping[str, Any]], labels: Mapping[int, int]
) -> Fault | None:
    image = images.get(item["image_id"])
    if image is None:
        return Fault.UNKNOWN_IMAGE
    if item["category_id"] not in labels:
        return Fault.UNKNOWN_CATEGORY
    if len(item["bbox"]) != 4 or not all(_is_number(value) for value in item["bbox"]):
        return Fault.NOT_A_BOX
    fault = box_fault(_edges(item["bbox"]), image["width"], image["height"])
    if fault is None and "area" in item and not (_is_number(item["area"]) and item["area"] >= 0):
        return Fault.BAD_AREA
    return fault


def _edges(bbox: Sequence[float]) -> tuple[float, float, float, float]:
    """COCO's x, y, width, height as xyxy."""
    x, y, width, height = bbox
    return x, y, x + width, y + height


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
