"""Which detection found which object, and what the others are: the basis of the confusion matrix and the mistakes.

Within a class detections are matched as COCO does at one IoU, by descending score; what is left over is then compared
across classes. The kinds of error are those of TIDE (Bolya et al., "TIDE: A General Toolbox for Identifying Object
Detection Errors", ECCV 2020), with its foreground and background IoU of 0.5 and 0.1.
"""

import math
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

import numpy as np
from numpy.typing import NDArray
from pycocotools import mask as mask_api

from mvdet.data.io.boxes import Box
from mvdet.data.io.coco_json import GroundTruthSource, read_ground_truth
from mvdet.data.io.ground_truth import GroundTruth, GroundTruthObject
from mvdet.evaluation.results import Result, ResultsSource, check_results


def box_iou(
    boxes_xywh: Sequence[Box | list[float]],
    others_xywh: Sequence[Box | list[float]],
    others_crowd: Sequence[bool] | None = None,
) -> NDArray[np.float64]:
    """IoU of every box with every other one; 0 where one has no area.

    Args:
        boxes_xywh: n boxes in pixels.
        others_xywh: m boxes in pixels.
        others_crowd: m flags; with a crowd, it is the share of the box that lies in the crowd.

    Returns:
        [n, m] float64.
    """
    n, m = len(boxes_xywh), len(others_xywh)
    if not n or not m:
        return np.zeros((n, m))
    crowd = [int(flag) for flag in others_crowd] if others_crowd is not None else [0] * m
    first, second = (np.array(boxes, dtype=np.float64) for boxes in (boxes_xywh, others_xywh))
    return np.asarray(mask_api.iou(first, second, crowd), dtype=np.float64).reshape(n, m)


IOU_THRESHOLD = 0.5
BACKGROUND_IOU = 0.1


class Verdict(StrEnum):
    """What became of a detection when it was compared with the ground truth."""

    CORRECT = "correct"
    IGNORED = "ignored"  # on a crowd or a difficult object of its class
    DUPLICATE = "duplicate"  # the object has a detection of a higher score
    WRONG_CLASS = "wrong class"  # on an object of another class
    BADLY_LOCALISED = "badly localised"  # touches an object of its class, below the IoU that counts
    BACKGROUND = "background"  # on nothing


@dataclass(frozen=True, slots=True)
class JudgedDetection:
    """A detection and what it is.

    Attributes:
        image_id, category_id, box_xywh, score: as detected; pixels.
        verdict: what it is.
        object: the one that the verdict is about; for `BACKGROUND` the nearest one of any class, None if it touches
            none.
        iou: with that object, 0 without.
        takes: whether the object is this detection's alone: `CORRECT`, and `WRONG_CLASS` on an object that no detection
            of its own class has found.
    """

    image_id: int
    category_id: int
    box_xywh: Box
    score: float
    verdict: Verdict
    object: GroundTruthObject | None
    iou: float
    takes: bool


@dataclass(frozen=True, slots=True)
class MissedObject:
    """An object that no detection takes, neither of its own class nor of another.

    Attributes:
        object: which.
        nearest: the detection of any class that overlaps it most; None if none touches it.
        iou: with that detection, 0 without.
    """

    object: GroundTruthObject
    nearest: JudgedDetection | None
    iou: float


@dataclass(frozen=True)
class Matching:
    """All images' detections at or above a score, judged.

    Attributes:
        ground_truth: what they were compared with.
        score_threshold: detections below are left out.
        detections: by image in the ground truth's order, then by descending score.
        missed: by image in the ground truth's order.
    """

    ground_truth: GroundTruth
    score_threshold: float
    detections: tuple[JudgedDetection, ...]
    missed: tuple[MissedObject, ...]

    def confusion_matrix(self) -> NDArray[np.int64]:
        """[K + 1, K + 1] counts: row is the object's class, column the detection's, in the order of category ids.

        The last column counts missed objects, the last row detections that take no object (duplicates among them). So a
        row of a class sums to its objects. Crowds, difficult objects, and detections on those, do not occur.
        """
        index = {category_id: k for k, category_id in enumerate(self.ground_truth.class_names)}
        background = len(index)
        counts = np.zeros((background + 1, background + 1), dtype=np.int64)
        for detection in self.detections:
            if detection.verdict is Verdict.IGNORED:
                continue
            taken = detection.object if detection.takes else None
            row = background if taken is None else index[taken.category_id]
            counts[row, index[detection.category_id]] += 1
        for missed in self.missed:
            counts[index[missed.object.category_id], background] += 1
        return counts


def match_detections(
    ground_truth: GroundTruthSource, results: ResultsSource, *, score_threshold: float, iou_type: str = "bbox"
) -> Matching:
    """Judge every detection of at least `score_threshold`, by its box, at IoU 0.5.

    Args:
        ground_truth: COCO instances.
        results: COCO results.
        score_threshold: a number.
        iou_type: "segm" where the results hold masks: then the boxes around them are compared.

    Raises:
        FileNotFoundError: no such file.
        ValueError: a threshold that is no number, or input that is not as COCO has it.
    """
    if not math.isfinite(score_threshold):
        raise ValueError(f"score_threshold must be a finite number, got {score_threshold}")
    truth = read_ground_truth(ground_truth)
    results_of: defaultdict[int, list[Result]] = defaultdict(list)
    for result in check_results(results, truth, iou_type=iou_type):
        if result["score"] >= score_threshold:
            results_of[result["image_id"]].append(result)
    detections: list[JudgedDetection] = []
    missed: list[MissedObject] = []
    for image_id, objects in truth.objects_by_image().items():
        ranked = sorted(results_of[image_id], key=lambda result: -result["score"])
        judged = _judge_image(objects, ranked)
        detections += judged
        missed += _missed(objects, judged)
    return Matching(truth, score_threshold, tuple(detections), tuple(missed))


def _judge_image(objects: Sequence[GroundTruthObject], ranked: Sequence[Result]) -> list[JudgedDetection]:
    """One image's detections, given by descending score."""
    ious = box_iou([r["bbox"] for r in ranked], [g.box_xywh for g in objects], [g.crowd for g in objects])
    detected = np.array([result["category_id"] for result in ranked])
    same = detected[:, None] == np.array([item.category_id for item in objects])[None, :]  # [D, G]
    counts = np.array([item.counts for item in objects], dtype=bool)
    free = counts.copy()
    verdicts: dict[int, tuple[Verdict, int | None, bool]] = {}
    for d in range(len(ranked)):
        if (g := _best(ious[d], same[d] & free, IOU_THRESHOLD)) is not None:
            free[g] = False
            verdicts[d] = Verdict.CORRECT, g, True
        elif (g := _best(ious[d], same[d] & ~counts, IOU_THRESHOLD)) is not None:
            verdicts[d] = Verdict.IGNORED, g, False
    for d in range(len(ranked)):
        if d not in verdicts:
            verdicts[d] = verdict, g, takes = _judge_leftover(ious[d], same[d], counts, free)
            if takes:
                free[g] = False
    judged = []
    for d, result in enumerate(ranked):
        verdict, found, takes = verdicts[d]
        x, y, width, height = result["bbox"]
        judged.append(
            JudgedDetection(
                result["image_id"],
                result["category_id"],
                (x, y, width, height),
                result["score"],
                verdict,
                None if found is None else objects[found],
                0.0 if found is None else float(ious[d, found]),
                takes,
            )
        )
    return judged


def _judge_leftover(
    ious: NDArray[np.float64], same: NDArray[np.bool_], counts: NDArray[np.bool_], free: NDArray[np.bool_]
) -> tuple[Verdict, int | None, bool]:
    """Verdict, object, and whether it takes it, for a detection that no object of its class is left for; all [G]."""
    if (g := _best(ious, same & counts, IOU_THRESHOLD)) is not None:
        return Verdict.DUPLICATE, g, False
    if (g := _best(ious, ~same & free, IOU_THRESHOLD)) is not None:
        return Verdict.WRONG_CLASS, g, True
    if (g := _best(ious, ~same & counts, IOU_THRESHOLD)) is not None:
        return Verdict.WRONG_CLASS, g, False
    if (g := _best(ious, same & counts, BACKGROUND_IOU)) is not None:
        return Verdict.BADLY_LOCALISED, g, False
    return Verdict.BACKGROUND, _best(ious, counts, np.finfo(float).tiny), False


def _missed(objects: Sequence[GroundTruthObject], judged: Sequence[JudgedDetection]) -> list[MissedObject]:
    taken = {id(detection.object) for detection in judged if detection.takes}
    left = [item for item in objects if item.counts and id(item) not in taken]
    if not left or not judged:
        return [MissedObject(item, None, 0.0) for item in left]
    ious = box_iou([detection.box_xywh for detection in judged], [item.box_xywh for item in left])
    return [
        MissedObject(item, judged[d] if iou > 0 else None, float(iou))
        for item, d, iou in zip(left, ious.argmax(axis=0), ious.max(axis=0), strict=True)
    ]


def _best(ious: NDArray[np.float64], allowed: NDArray[np.bool_], threshold: float) -> int | None:
    """Index of the highest IoU among the allowed objects [G] that reaches the threshold."""
    if not allowed.any():
        return None
    g = int(np.where(allowed, ious, -1.0).argmax())
    return g if ious[g] >= threshold else None
