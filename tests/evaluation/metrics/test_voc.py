import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from mvdet.evaluation.metrics.voc import ap_11_points, ap_area, evaluate_voc

Json = dict[str, Any]


def reference(truth: Json, results: list[Json], category_id: int, threshold: float) -> tuple[float, float] | None:
    """`VOCevaldet.m` line by line, on pixel edges: AP by 11 points and by area, or None without objects."""
    objects = [a for a in truth["annotations"] if a["category_id"] == category_id]
    skip = [bool(a.get("difficult", 0) or a.get("iscrowd", 0)) for a in objects]
    taken = [False] * len(objects)
    total = skip.count(False)
    if total == 0:
        return None
    tp, fp = [], []
    for found in sorted((r for r in results if r["category_id"] == category_id), key=lambda r: -r["score"]):
        best, best_iou = -1, -math.inf
        for n, item in enumerate(objects):
            if item["image_id"] != found["image_id"]:
                continue
            (x, y, w, h), (u, v, a, b) = found["bbox"], item["bbox"]
            width, height = min(x + w, u + a) - max(x, u), min(y + h, v + b) - max(y, v)
            if width > 0 and height > 0:
                iou = width * height / (w * h + a * b - width * height)
                if iou > best_iou:
                    best, best_iou = n, iou
        hit = best_iou >= threshold and not skip[best] and not taken[best]
        nothing = best_iou >= threshold and skip[best]
        if hit:
            taken[best] = True
        tp.append(int(hit))
        fp.append(int(not hit and not nothing))
    recalls, precisions = [], []
    for n in range(len(tp)):
        counted = sum(tp[: n + 1]) + sum(fp[: n + 1])
        recalls.append(sum(tp[: n + 1]) / total)
        precisions.append(sum(tp[: n + 1]) / counted if counted else 0.0)
    points = sum(
        max((p for r, p in zip(recalls, precisions, strict=True) if r >= t / 10 - 1e-9), default=0) / 11
        for t in range(11)
    )
    mrec, mpre = [0.0, *recalls, 1.0], [0.0, *precisions, 0.0]
    for n in range(len(mpre) - 2, -1, -1):
        mpre[n] = max(mpre[n], mpre[n + 1])
    area = sum((mrec[n] - mrec[n - 1]) * mpre[n] for n in range(1, len(mrec)))
    return points, area


@pytest.mark.parametrize("seed", range(8))
@pytest.mark.parametrize("threshold", [0.5, 0.3, 1.0])
def test_against_the_development_kits_procedure(
    random_case: Callable[[int], tuple[Json, list[Json]]], seed: int, threshold: float
) -> None:
    truth, results = random_case(seed)
    metrics = evaluate_voc(truth, results, iou_threshold=threshold)
    wanted = {c["name"]: reference(truth, results, c["id"], threshold) for c in truth["categories"]}
    for name, numbers in wanted.items():
        assert (metrics.per_class_11_points[name], metrics.per_class_area[name]) == pytest.approx(
            numbers or (None, None), abs=1e-12
        )
    existing = [numbers for numbers in wanted.values() if numbers is not None]
    assert len(existing) == 3
    assert (metrics.mean_11_points, metrics.mean_area) == pytest.approx(tuple(np.mean(existing, axis=0)), abs=1e-12)


@pytest.mark.parametrize(
    ("hits", "total", "points", "area"),
    [
        ([], 4, 0, 0),
        ([True], 1, 1, 1),
        ([False, True], 1, 1 / 2, 1 / 2),
        ([True, False], 2, 6 / 11, 1 / 2),  # recall 0 to 0.5
        ([True, True, True], 10, 4 / 11, 3 / 10),  # recall 0, 0.1, 0.2 and 0.3, which is not 3 * 0.1
        ([True, False, True], 2, (6 + 5 * 2 / 3) / 11, (1 + 2 / 3) / 2),
        ([False, False], 3, 0, 0),
    ],
)
def test_known_values(hits: list[bool], total: int, points: float, area: float) -> None:
    array = np.array(hits, dtype=bool)
    assert ap_11_points(array, total) == pytest.approx(points)
    assert ap_area(array, total) == pytest.approx(area)


def test_perfect_detections(truth: Json, perfect: list[Json]) -> None:
    metrics = evaluate_voc(truth, perfect)
    assert metrics.per_class_area == metrics.per_class_11_points == {"cat": 1, "dog": 1, "toothbrush": None}
    assert metrics.mean_area == metrics.mean_11_points == 1
    assert metrics.objects == {"cat": 1, "dog": 2, "toothbrush": 0}
    assert metrics.as_dict()["per_class"]["toothbrush"] == {"AP_11_points": None, "AP_area": None, "objects": 0}


def test_no_detections_and_no_objects(truth: Json, perfect: list[Json]) -> None:
    metrics = evaluate_voc(truth, [])
    assert (metrics.mean_area, metrics.per_class_area["toothbrush"]) == (0, None)
    truth["annotations"] = []
    metrics = evaluate_voc(truth, perfect)
    assert (metrics.mean_area, metrics.mean_11_points) == (None, None)


@pytest.mark.parametrize(("flag", "area"), [("difficult", 1), ("iscrowd", 1), ("other", 0.5)])
def test_difficult_objects_are_neither_hit_nor_miss(truth: Json, perfect: list[Json], flag: str, area: float) -> None:
    truth["annotations"].append({"image_id": 9, "category_id": 3, "bbox": [0, 0, 20, 20], flag: 1})
    assert evaluate_voc(truth, perfect).per_class_area["cat"] == area  # not found
    found = {"image_id": 9, "category_id": 3, "bbox": [0, 0, 20, 20], "score": 0.99}
    assert evaluate_voc(truth, [found, found, *perfect]).per_class_area["cat"] == (1 if area == 1 else (1 + 2 / 3) / 2)


def test_a_second_detection_is_a_miss_even_beside_a_free_object(truth: Json) -> None:
    """VOC looks at the object with the greatest overlap only; COCO would give the second detection to the other one."""
    boxes = [[0, 0, 20, 20], [0, 5, 20, 20]]
    truth["annotations"] = [{"image_id": 9, "category_id": 3, "bbox": box} for box in boxes]
    results = [{"image_id": 9, "category_id": 3, "bbox": [0, n, 20, 20], "score": 1 - n / 10} for n in (0, 1)]
    assert evaluate_voc(truth, results).per_class_area["cat"] == 0.5


def test_widths_are_differences(truth: Json) -> None:
    truth["annotations"] = [{"image_id": 9, "category_id": 3, "bbox": [0, 0, 2, 1]}]
    half = {"image_id": 9, "category_id": 3, "bbox": [0, 0, 1, 1], "score": 1.0}  # IoU 0.5; 2/3 with widths plus 1
    assert evaluate_voc(truth, [half]).mean_area == 1
    assert evaluate_voc(truth, [half], iou_threshold=0.51).mean_area == 0


@pytest.mark.parametrize("threshold", [0, 1.1, math.nan])
def test_thresholds(truth: Json, threshold: float) -> None:
    with pytest.raises(ValueError, match=f"iou_threshold must be above 0 and at most 1, got {threshold}"):
        evaluate_voc(truth, [], iou_threshold=threshold)
