"""PASCAL VOC's average precision at one IoU, by the rules of 2007 (11 points) and of 2010 and later (area).

After `VOCevaldet.m` of the VOC development kits (VOC2007 and VOC2012). One thing differs: the kit's boxes name their
first and last pixel, so it adds 1 to every width; ours are pixel edges, where the width is the difference. A VOC box
`(xmin, ymin, xmax, ymax)` is `(xmin - 1, ymin - 1, xmax, ymax)` in edges (`mvdet.data.io.voc_xml.VocObject.edges`), and
on such boxes both give the same IoU.
"""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mvdet.data.io.coco_json import GroundTruthSource, read_ground_truth
from mvdet.data.io.ground_truth import GroundTruthObject
from mvdet.evaluation.metrics.matching import box_iou
from mvdet.evaluation.results import Result, ResultsSource, check_results


@dataclass(frozen=True)
class VocMetrics:
    """VOC's average precision, in [0, 1].

    Attributes:
        mean_11_points, mean_area: over the classes that have objects; None if none has.
        per_class_11_points, per_class_area: by class name; None for a class without objects (difficult ones and crowds
            do not count), which takes no part in the mean.
        objects: that count, by class name.
        iou_threshold: what a detection must reach to hit.
    """

    mean_11_points: float | None
    mean_area: float | None
    per_class_11_points: dict[str, float | None]
    per_class_area: dict[str, float | None]
    objects: dict[str, int]
    iou_threshold: float

    def as_dict(self) -> dict[str, Any]:
        """Everything, as json can hold it; None stands for a number that does not exist."""
        return {
            "iou_threshold": self.iou_threshold,
            "mean_11_points": self.mean_11_points,
            "mean_area": self.mean_area,
            "per_class": {
                name: {
                    "AP_11_points": self.per_class_11_points[name],
                    "AP_area": self.per_class_area[name],
                    "objects": count,
                }
                for name, count in self.objects.items()
            },
        }


def evaluate_voc(ground_truth: GroundTruthSource, results: ResultsSource, *, iou_threshold: float = 0.5) -> VocMetrics:
    """VOC AP from the same inputs as `evaluate_coco`.

    Detections of a class are taken by descending score, ties in the order given. Each looks at the object of its class
    that it overlaps most, taken or not: below the threshold it is a miss, on a difficult object or a crowd (by ordinary
    IoU) it counts as nothing, on an object already taken it is a miss, else a hit. There is no limit on detections.

    Args:
        ground_truth: COCO instances, where an annotation's `difficult: 1` is VOC's flag.
        results: COCO results with boxes.
        iou_threshold: above 0, at most 1; reaching it is enough.

    Raises:
        FileNotFoundError: no such file.
        ValueError: a threshold outside its range, or input that is not as COCO has it.
    """
    if not 0 < iou_threshold <= 1:
        raise ValueError(f"iou_threshold must be above 0 and at most 1, got {iou_threshold}")
    truth = read_ground_truth(ground_truth)
    objects: defaultdict[int, list[GroundTruthObject]] = defaultdict(list)
    detections: defaultdict[int, list[Result]] = defaultdict(list)
    for item in truth.objects:
        objects[item.category_id].append(item)
    for result in check_results(results, truth):
        detections[result["category_id"]].append(result)
    by_points: dict[str, float | None] = {}
    by_area: dict[str, float | None] = {}
    totals: dict[str, int] = {}
    for category_id, name in truth.class_names.items():
        hits = _hits(objects[category_id], detections[category_id], iou_threshold)
        total = totals[name] = sum(item.counts for item in objects[category_id])
        by_points[name] = ap_11_points(hits, total) if total else None
        by_area[name] = ap_area(hits, total) if total else None
    return VocMetrics(_mean(by_points), _mean(by_area), by_points, by_area, totals, iou_threshold)


def ap_11_points(hits: NDArray[np.bool_], total: int) -> float:
    """Mean over recall 0, 0.1, ... 1 of the greatest precision at that recall or more (VOC2007).

    Args:
        hits: [n] hit or miss, by descending score.
        total: objects to be found, at least 1.
    """
    found, precision = np.cumsum(hits), _precision(hits)
    # In whole numbers: 3 of 10 objects are recall 0.3, which 3 * 0.1 is not.
    reached = [precision[10 * found >= step * total] for step in range(11)]
    return float(sum(part.max() for part in reached if len(part)) / 11)


def ap_area(hits: NDArray[np.bool_], total: int) -> float:
    """Area under the precision-recall curve, its precision made monotone from the right (VOC2010 and later).

    Args:
        hits: [n] hit or miss, by descending score.
        total: objects to be found, at least 1.
    """
    envelope = np.maximum.accumulate(_precision(hits)[::-1])[::-1]
    return float(envelope[hits].sum() / total)  # recall grows by 1 / total at every hit


def _precision(hits: NDArray[np.bool_]) -> NDArray[np.float64]:
    return np.asarray(np.cumsum(hits) / np.arange(1, len(hits) + 1), dtype=np.float64)


def _hits(
    objects: Sequence[GroundTruthObject], detections: Sequence[Result], iou_threshold: float
) -> NDArray[np.bool_]:
    """Hit or miss for one class's detections by descending score, without those that count as nothing."""
    objects_of: defaultdict[int, list[GroundTruthObject]] = defaultdict(list)
    for item in objects:
        objects_of[item.image_id].append(item)
    ranked = sorted(detections, key=lambda result: -result["score"])
    ranks_of: defaultdict[int, list[int]] = defaultdict(list)
    for rank, result in enumerate(ranked):
        ranks_of[result["image_id"]].append(rank)
    outcome: list[bool | None] = [False] * len(ranked)
    for image_id, ranks in ranks_of.items():
        if image_id not in objects_of:
            continue
        here = objects_of[image_id]
        ious = box_iou([ranked[rank]["bbox"] for rank in ranks], [item.box_xywh for item in here])
        taken = [False] * len(here)
        for rank, best, iou in zip(ranks, ious.argmax(axis=1), ious.max(axis=1), strict=True):
            if iou < iou_threshold:
                continue
            if not here[best].counts:
                outcome[rank] = None
            elif not taken[best]:
                taken[best] = outcome[rank] = True
    return np.array([hit for hit in outcome if hit is not None], dtype=bool)


def _mean(per_class: dict[str, float | None]) -> float | None:
    values = [value for value in per_class.values() if value is not None]
    return sum(values) / len(values) if values else None
