import contextlib
import copy
import io
import json
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mvdet.evaluation.metrics.matching import Verdict, box_iou, match_detections


def test_known_overlaps() -> None:
    boxes = [[0, 0, 2, 1], [0, 0, 0, 1]]
    others = [[0, 0, 1, 1], [5, 5, 1, 1], [0, 0, 0, 1], [1, 0, 2, 1]]
    assert box_iou(boxes, others) == pytest.approx(np.array([[1 / 2, 0, 0, 1 / 3], [0, 0, 0, 0]]))
    # with a crowd, the share of the box
    assert box_iou(boxes[:1], others, [True] * 4) == pytest.approx(np.array([[1 / 2, 0, 0, 1 / 2]]))


@pytest.mark.parametrize(("n", "m"), [(0, 3), (3, 0), (0, 0)])
def test_nothing(n: int, m: int) -> None:
    assert box_iou([[0, 0, 1, 1]] * n, [[0, 0, 1, 1]] * m).shape == (n, m)


Json = dict[str, Any]
CAT, DOG, TOOTHBRUSH = 3, 7, 90


def found(image_id: int, category_id: int, box: list[float], score: float) -> Json:
    return {"image_id": image_id, "category_id": category_id, "bbox": box, "score": score}


@pytest.mark.parametrize(
    ("detection", "verdict", "object_index", "iou", "takes"),
    [
        (found(5, CAT, [10, 10, 40, 30], 0.5), Verdict.CORRECT, 0, 0.75, True),
        (found(5, CAT, [10, 10, 40, 20], 0.5), Verdict.CORRECT, 0, 0.5, True),
        (found(5, CAT, [10, 10, 40, 19], 0.5), Verdict.BADLY_LOCALISED, 0, 0.475, False),
        (found(5, CAT, [10, 10, 40, 3], 0.5), Verdict.BACKGROUND, 0, 0.075, False),
        (found(5, CAT, [0, 60, 40, 40], 0.5), Verdict.BACKGROUND, None, 0, False),
        (found(5, TOOTHBRUSH, [10, 10, 40, 30], 0.5), Verdict.WRONG_CLASS, 0, 0.75, True),
        (found(5, TOOTHBRUSH, [10, 10, 40, 19], 0.5), Verdict.BACKGROUND, 0, 0.475, False),
        (found(2, DOG, [150, 40, 20, 20], 0.5), Verdict.IGNORED, 3, 1, False),  # inside the crowd
        (found(2, CAT, [150, 40, 20, 20], 0.5), Verdict.BACKGROUND, None, 0, False),
        (found(9, CAT, [10, 10, 40, 40], 0.5), Verdict.BACKGROUND, None, 0, False),
    ],
)
def test_one_detection(
    truth: Json, detection: Json, verdict: Verdict, object_index: int | None, iou: float, takes: bool
) -> None:
    matching = match_detections(truth, [detection], score_threshold=0.5)
    (judged,) = matching.detections
    wanted = None if object_index is None else matching.ground_truth.objects[object_index]
    assert (judged.verdict, judged.object, judged.takes) == (verdict, wanted, takes)
    assert judged.iou == pytest.approx(iou)
    assert len(matching.missed) == (2 if takes else 3)
    assert match_detections(truth, [detection], score_threshold=0.51).detections == ()


def test_the_higher_score_takes_the_object(truth: Json) -> None:
    low, high = found(5, CAT, [10, 10, 40, 40], 0.6), found(5, CAT, [10, 10, 40, 30], 0.9)
    matching = match_detections(truth, [low, high], score_threshold=0.1)
    assert [(d.score, d.verdict) for d in matching.detections] == [(0.9, Verdict.CORRECT), (0.6, Verdict.DUPLICATE)]


def test_its_own_class_comes_before_another_of_a_higher_score(truth: Json) -> None:
    wrong, right = found(5, DOG, [10, 10, 40, 40], 0.9), found(5, CAT, [10, 10, 40, 40], 0.3)
    matching = match_detections(truth, [wrong, right], score_threshold=0.1)
    assert [(d.verdict, d.takes) for d in matching.detections] == [
        (Verdict.WRONG_CLASS, False),
        (Verdict.CORRECT, True),
    ]
    # rows and columns: cat, dog, toothbrush, background
    assert matching.confusion_matrix().tolist() == [[1, 0, 0, 0], [0, 0, 0, 2], [0, 0, 0, 0], [0, 1, 0, 0]]


def test_confusion_matrix(truth: Json, perfect: list[Json]) -> None:
    results = [
        *perfect[1:],
        found(5, TOOTHBRUSH, [10, 10, 40, 40], 0.5),  # for the cat
        found(5, CAT, [10, 10, 40, 10], 0.5),
        found(2, DOG, [150, 40, 20, 20], 0.5),  # in the crowd
        found(9, DOG, [0, 0, 5, 5], 0.5),
    ]
    matching = match_detections(truth, results, score_threshold=0.1)
    assert matching.confusion_matrix().tolist() == [[0, 0, 1, 0], [0, 2, 0, 0], [0, 0, 0, 0], [1, 1, 0, 0]]
    assert matching.missed == ()


def test_missed_objects(truth: Json) -> None:
    near, far = found(5, DOG, [100, 10, 50, 10], 0.4), found(2, DOG, [0, 90, 10, 10], 0.9)
    truth["annotations"].append({"image_id": 9, "category_id": CAT, "bbox": [0, 0, 9, 9], "difficult": 1})
    matching = match_detections(truth, [near, far], score_threshold=0.1)
    assert [(m.object.box_xywh[0], m.iou, m.nearest and m.nearest.score) for m in matching.missed] == [
        (10, 0, None),
        (100, pytest.approx(0.2), 0.4),
        (20, 0, None),
    ]


def test_detections_on_difficult_objects_are_ignored(truth: Json, perfect: list[Json]) -> None:
    truth["annotations"][0]["difficult"] = 1
    matching = match_detections(truth, perfect, score_threshold=0.1)
    assert Counter(d.verdict for d in matching.detections) == {Verdict.CORRECT: 2, Verdict.IGNORED: 1}
    assert matching.confusion_matrix().sum() == 2


@pytest.mark.parametrize("seed", range(6))
def test_every_object_and_every_detection_occurs_once(
    random_case: Callable[[int], tuple[Json, list[Json]]], seed: int
) -> None:
    truth, results = random_case(seed)
    matching = match_detections(truth, results, score_threshold=0.3)
    matrix = matching.confusion_matrix()
    classes = list(matching.ground_truth.class_names)
    kept = [r for r in results if r["score"] >= 0.3]
    assert len(matching.detections) == len(kept)
    ignored = Counter(d.category_id for d in matching.detections if d.verdict is Verdict.IGNORED)
    for k, category_id in enumerate(classes):
        objects = [o for o in matching.ground_truth.objects if o.category_id == category_id and o.counts]
        assert matrix[k].sum() == len(objects)
        detected = [r for r in kept if r["category_id"] == category_id]
        assert matrix[:, k].sum() == len(detected) - ignored[category_id]
    assert np.trace(matrix) == sum(d.verdict is Verdict.CORRECT for d in matching.detections)


def counts_of_pycocotools(truth: Json, results: list[Json]) -> tuple[int, int]:
    """Detections that hit at IoU 0.5, and those that are ignored."""
    from pycocotools.coco import COCO
    from pycocotools.cocoeval import COCOeval

    with contextlib.redirect_stdout(io.StringIO()):
        coco = COCO()
        coco.dataset = copy.deepcopy(truth)
        coco.createIndex()
        evaluation = COCOeval(coco, coco.loadRes(copy.deepcopy(results)), "bbox")
        evaluation.params.areaRng = evaluation.params.areaRng[:1]
        evaluation.evaluate()
    images = [image for image in evaluation.evalImgs if image]
    hit = [((image["dtMatches"][0] > 0) & ~image["dtIgnore"][0].astype(bool)).sum() for image in images]
    return int(sum(hit)), int(sum(image["dtIgnore"][0].sum() for image in images))


@pytest.mark.parametrize("case", ["coco_eval", *range(6)])
def test_correct_and_ignored_are_those_of_pycocotools(
    case: str | int, random_case: Callable[[int], tuple[Json, list[Json]]], request: pytest.FixtureRequest
) -> None:
    if isinstance(case, int):
        truth, results = random_case(case)
        for annotation in truth["annotations"]:
            del annotation["difficult"]  # COCO has no such flag
    else:
        folder: Path = request.getfixturevalue("coco_eval")
        truth = json.loads((folder / "instances_val2014_100.json").read_text())
        results = json.loads((folder / "instances_val2014_fakebbox100_results.json").read_text())
    counts = Counter(d.verdict for d in match_detections(truth, results, score_threshold=0).detections)
    assert (counts[Verdict.CORRECT], counts[Verdict.IGNORED]) == counts_of_pycocotools(truth, results)
    assert counts[Verdict.CORRECT] > 10


def test_masks_are_matched_by_their_boxes(truth: Json) -> None:
    from pycocotools import mask as mask_api

    run_lengths = mask_api.frPyObjects([[10, 10, 50, 10, 50, 50, 10, 50]], 100, 200)[0]
    mask = {"size": run_lengths["size"], "counts": run_lengths["counts"].decode()}
    result = {"image_id": 5, "category_id": CAT, "segmentation": mask, "score": 0.5}
    (judged,) = match_detections(truth, [result], score_threshold=0.1, iou_type="segm").detections
    assert judged.verdict is Verdict.CORRECT
    assert judged.box_xywh == (10, 10, 40, 40)


def test_arguments(truth: Json, perfect: list[Json]) -> None:
    before = copy.deepcopy((truth, perfect))
    match_detections(truth, perfect, score_threshold=0.5)
    assert (truth, perfect) == before
    with pytest.raises(ValueError, match="score_threshold must be a finite number, got nan"):
        match_detections(truth, perfect, score_threshold=float("nan"))
