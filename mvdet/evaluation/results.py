"""Detections as COCO results json: written from tensors, read, checked against the ground truth, merged over ranks."""

import json
from collections.abc import Iterable, Mapping, Sequence
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
import torch
from pycocotools import mask as mask_api
from torch import Tensor

from mvdet.data.io.boxes import bbox_fault, is_finite_number, is_whole_number
from mvdet.data.io.coco_json import read_json
from mvdet.data.io.coco_masks import mask_problem
from mvdet.data.io.ground_truth import GroundTruth

Result = dict[str, Any]
ResultsSource = Sequence[Mapping[str, Any]] | str | Path

_KEYS = ("image_id", "category_id", "score", "bbox")
_BOX_DECIMALS = 4  # of a pixel; float32 itself resolves no more than that beyond coordinate 1024


def to_results(image_id: int, detections: Mapping[str, Tensor], category_ids: Sequence[int]) -> list[Result]:
    """One image's detections as entries of a COCO results list.

    Boxes are rounded to 1e-4 of a pixel, about what float32 holds at the right edge of a large picture, so an IoU moves
    by some 1e-5 at most for boxes ten pixels wide. Scores are not rounded: they are written with the fewest digits that
    give the same float32 back, so that no two detections swap places or become a tie.

    Args:
        image_id: of the ground truth.
        detections: `boxes` [n, 4] xyxy in pixels, `scores` [n], both floating, `labels` [n] integers from 1; on any
            device.
        category_ids: the category of label 1, 2, ...

    Returns:
        n entries `{"image_id", "category_id", "bbox": [x, y, width, height], "score"}`, in the order given.

    Raises:
        ValueError: shapes that do not fit each other, a label without a category, a box or score that is not finite, or
            a box that ends before it begins.
    """
    boxes, scores, labels = (detections[key].detach().cpu() for key in ("boxes", "scores", "labels"))
    where = f"detections of image {image_id}"
    n = len(scores)
    if boxes.shape != (n, 4) or scores.shape != (n,) or labels.shape != (n,):
        shapes = ", ".join(f"{key} {list(detections[key].shape)}" for key in ("boxes", "scores", "labels"))
        raise ValueError(f"{where}: shapes must be boxes [n, 4], scores [n], labels [n], got {shapes}")
    outside = labels[(labels < 1) | (labels > len(category_ids))]
    if len(outside):
        raise ValueError(f"{where}: labels must be 1 to {len(category_ids)}, got {outside[0].item()}")
    if not (boxes.isfinite().all() and scores.isfinite().all()):
        raise ValueError(f"{where}: boxes and scores must be finite, got NaN or infinity")
    corners = boxes.double()
    sizes = corners[:, 2:] - corners[:, :2]
    if (sizes < 0).any():
        reversed_box = boxes[(sizes < 0).any(dim=1)][0].tolist()
        raise ValueError(f"{where}: boxes must be xyxy with x2 >= x1 and y2 >= y1, got {reversed_box}")
    # [n, 4] xyxy -> xywh
    boxes_xywh = torch.cat((corners[:, :2], sizes), dim=1).tolist()
    return [
        {
            "image_id": int(image_id),
            "category_id": int(category_ids[label - 1]),
            "bbox": [round(value, _BOX_DECIMALS) for value in box],
            "score": score,
        }
        for box, score, label in zip(boxes_xywh, _shortest(scores), labels.tolist(), strict=True)
    ]


def _shortest(values: Tensor) -> list[float]:
    """Values [n] as Python numbers with the fewest digits that give the same float32 (or float64) back."""
    if values.dtype == torch.float64:
        return [float(value) for value in values.tolist()]
    return [float(text) for text in values.float().numpy().astype(str)]


def write_results(path: str | Path, results: Sequence[Mapping[str, Any]]) -> None:
    """Write a COCO results json, one entry per line; the folder must exist.

    Raises:
        ValueError: a value is NaN or infinite, which json does not know.
    """
    lines = [json.dumps(dict(entry), separators=(",", ":"), allow_nan=False) for entry in results]
    Path(path).write_text("[" + ",\n".join(lines) + "]\n", encoding="utf-8")


def read_results(path: str | Path) -> list[Result]:
    """Read a COCO results json. `check_results` then tells whether it fits a ground truth.

    Raises:
        FileNotFoundError: no such file.
        ValueError: not json, or not a list of objects.
    """
    return _require_list(read_json(path), str(path))


def _require_list(content: object, where: str) -> list[Result]:
    if not isinstance(content, list | tuple):
        raise ValueError(f"{where}: COCO results must be a list of detections, got {type(content).__name__}")
    if set(map(type, content)) <= {dict}:  # nearly always, and quick to ask of half a million
        return list(content)
    for n, entry in enumerate(content):
        if not isinstance(entry, Mapping):
            raise ValueError(f"{where}: entry [{n}] must be an object, got {entry!r}")
    return list(content)


def check_results(source: ResultsSource, ground_truth: GroundTruth, *, iou_type: str = "bbox") -> list[Result]:
    """Results that can be evaluated, as new entries that hold nothing but what the metrics need.

    They are annotations as COCO's tools take them, with an `id` (from 1), `iscrowd` (0) and `area`. Their boxes may be
    the very lists of the source.

    Entries may repeat, and images may have none. An empty list is fine.

    Args:
        source: a results json or its content.
        ground_truth: what the results are about.
        iou_type: "bbox" keeps `bbox`; "segm" keeps `segmentation` (compressed run lengths, the size of the image) and
            adds the mask's own `bbox`. The area is the box's or the mask's.

    Raises:
        FileNotFoundError: no such file.
        ValueError: not a list, or an entry with an unknown image or category, without a finite score, or with an
            unusable box or mask: the message names the file and the entry, counted from 0.
    """
    if isinstance(source, str | Path):
        where, content = str(source), read_results(source)
    else:
        where, content = "results", _require_list(source, "results")
    if iou_type == "bbox" and (plain := _plain_boxes(content, ground_truth)) is not None:
        return plain
    checked = []
    for n, entry in enumerate(content):
        if problem := _entry_problem(entry, ground_truth, iou_type):
            raise ValueError(f"{where}: entry [{n}]: {problem}")
        result: Result = {key: int(entry[key]) for key in ("image_id", "category_id")}
        result |= {"id": n + 1, "iscrowd": 0, "score": float(entry["score"])}
        if iou_type == "bbox":
            result["bbox"] = [float(value) for value in entry["bbox"]]
            result["area"] = result["bbox"][2] * result["bbox"][3]
        else:
            result |= _measured(entry["segmentation"])
        checked.append(result)
    return checked


def _plain_boxes(content: Sequence[Mapping[str, Any]], ground_truth: GroundTruth) -> list[Result] | None:
    """The checked entries where all of them hold plain Python numbers that can be evaluated; None if not.

    Asks of all entries at once what `_entry_problem` asks of one, which takes a fraction of the time: checking half a
    million entries one by one would be most of what the whole evaluation takes beside the metrics' own code.
    """
    try:
        image_ids, category_ids, scores, boxes = ([entry[key] for entry in content] for key in _KEYS)
    except KeyError:
        return None
    if not (set(map(type, image_ids)) | set(map(type, category_ids)) <= {int}):
        return None
    if not (ground_truth.images.keys() >= set(image_ids) and ground_truth.class_names.keys() >= set(category_ids)):
        return None
    if not (set(map(type, boxes)) <= {list, tuple} and set(map(len, boxes)) <= {4}):
        return None
    kinds = set(map(type, chain(scores, chain.from_iterable(boxes))))
    if not kinds <= {int, float}:
        return None
    try:
        numbers = np.fromiter(chain.from_iterable(boxes), np.float64, count=4 * len(boxes)).reshape(-1, 4)
        confidences = np.fromiter(scores, np.float64, count=len(scores))
    except OverflowError:  # an integer beyond what a float holds
        return None
    if not (np.isfinite(confidences).all() and np.isfinite(numbers).all() and (numbers[:, 2:] >= 0).all()):
        return None
    areas = (numbers[:, 2] * numbers[:, 3]).tolist()
    columns = (image_ids, category_ids, confidences.tolist(), boxes if kinds == {float} else numbers.tolist(), areas)
    return [
        {
            "image_id": image_id,
            "category_id": category_id,
            "id": n,
            "iscrowd": 0,
            "score": score,
            "bbox": box,
            "area": area,
        }
        for n, (image_id, category_id, score, box, area) in enumerate(zip(*columns, strict=True), start=1)
    ]


def _entry_problem(entry: Mapping[str, Any], ground_truth: GroundTruth, iou_type: str) -> str | None:
    """What keeps an entry from being evaluated; None if nothing does."""
    known: Mapping[str, Mapping[int, Any]] = {"image_id": ground_truth.images, "category_id": ground_truth.class_names}
    for key, ids in known.items():
        value = entry.get(key)
        if not is_whole_number(value):
            return f"{key} must be a whole number, got {value!r}"
        if value not in ids:
            return f"unknown {key} {value}: not in {ground_truth.source}"
    if "score" not in entry:
        return f"has no score, only {', '.join(map(str, entry))}"
    if not is_finite_number(entry["score"]):
        return f"score must be a finite number, got {entry['score']!r}"
    if iou_type == "segm":
        image, mask = ground_truth.images[entry["image_id"]], entry.get("segmentation")
        if isinstance(mask, Mapping) and isinstance(mask.get("counts"), str):
            return mask_problem(mask, image.height, image.width)
        return "segmentation must be compressed run lengths {'size', 'counts'} in results of masks"
    if "bbox" not in entry:
        hint = "; results of masks are evaluated with iou_type 'segm'" if "segmentation" in entry else ""
        return f"has no bbox, only {', '.join(map(str, entry))}{hint}"
    fault = bbox_fault(entry["bbox"])
    return None if fault is None else fault[1]


def _measured(mask: Mapping[str, Any]) -> Result:
    return {
        "segmentation": dict(mask),
        "bbox": mask_api.toBbox(mask).tolist(),
        "area": float(mask_api.area(mask)),
    }


def merge_ranks(
    per_rank: Sequence[Iterable[tuple[int, Sequence[Mapping[str, Any]]]]], expected_ids: Iterable[int] | None = None
) -> list[Result]:
    """One results list from what several processes found, as if one process had seen every image once.

    A distributed sampler evens out the ranks by repeating images; the first rank's results of an image are kept. Images
    come in ascending order of id, so the list does not depend on the number of ranks.

    Args:
        per_rank: for each rank `(image_id, results)` of every image it saw, those without detections included.
        expected_ids: every image of the data set; None skips that check.

    Raises:
        ValueError: an image that no rank has seen or that was not expected, or an entry filed under another image.
    """
    by_image: dict[int, Sequence[Mapping[str, Any]]] = {}
    for seen in per_rank:
        for image_id, results in seen:
            by_image.setdefault(image_id, results)
    if expected_ids is not None:
        expected = set(expected_ids)
        missing, unexpected = sorted(expected - set(by_image)), sorted(set(by_image) - expected)
        for ids, problem in ((missing, "seen by no rank"), (unexpected, "seen, but not expected")):
            if ids:
                raise ValueError(f"{len(ids)} of {len(expected)} images {problem}, the first ids: {ids[:10]}")
    merged = []
    for image_id in sorted(by_image):
        for entry in by_image[image_id]:
            if entry["image_id"] != image_id:
                raise ValueError(f"results of image {image_id} hold an entry of image {entry['image_id']}")
            merged.append(dict(entry))
    return merged
