"""COCO's twelve numbers: mvdet's function against pycocotools, called as its own demonstration does."""

import contextlib
import copy
import io
import random
from typing import Any

from mvdet.benchmarks.comparison import Comparison
from mvdet.benchmarks.measure import time_in_pairs
from mvdet.evaluation.metrics.coco import METRICS, evaluate_coco

_CLASSES = 80
_SAME = 5e-7  # the largest difference of numbers that are equal to six decimals


def evaluation(*, images: int = 5000, detections: int = 100, repeats: int = 3) -> Comparison:
    """Compute COCO's numbers of made-up detections of 80 classes with both, from what json has been read to.

    Args:
        images: number of images.
        detections: number of detections in each image.
        repeats: counted pairs.

    Raises:
        RuntimeError: one of the twelve numbers differs in the first six decimals.
    """
    truth, results = _made_up(images, detections)
    theirs = copy.deepcopy(results)  # pycocotools writes into them
    ours = evaluate_coco(truth, results).numbers
    judge = dict(zip(METRICS, _pycocotools(truth, theirs), strict=True))
    off = {name: abs(value - (ours[name] or 0)) for name, value in judge.items()}
    if max(off.values()) > _SAME:
        raise RuntimeError(f"the numbers differ: {off}")
    times = time_in_pairs(
        lambda: evaluate_coco(truth, results), lambda: _pycocotools(truth, theirs), repeats=repeats, warmup=0
    )
    what = f"COCO's numbers, {images:,} images, {detections} detections each"
    return Comparison("evaluation", what, None, None, "pycocotools", times, max(off.values()))


def _pycocotools(truth: dict[str, Any], results: list[dict[str, Any]]) -> list[float]:
    # Only this judge needs it; our own evaluation does not.
    from pycocotools.coco import COCO
    from pycocotools.cocoeval import COCOeval

    with contextlib.redirect_stdout(io.StringIO()):
        index = COCO()
        index.dataset = truth
        index.createIndex()
        evaluator = COCOeval(index, index.loadRes(results), "bbox")
        evaluator.evaluate()
        evaluator.accumulate()
        evaluator.summarize()
    return list(evaluator.stats)


def _made_up(images: int, detections: int) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """Ground truth of seven objects an image, and detections: a third lie near an object, the others anywhere."""
    draw = random.Random(0)

    def box() -> list[float]:
        width, height = draw.uniform(10, 300), draw.uniform(10, 300)
        return [draw.uniform(0, 640 - width), draw.uniform(0, 480 - height), width, height]

    annotations: list[dict[str, Any]] = []
    results: list[dict[str, Any]] = []
    for image_id in range(1, images + 1):
        objects = [(box(), draw.randint(1, _CLASSES)) for _ in range(7)]
        for corners, category in objects:
            common = {"id": len(annotations) + 1, "image_id": image_id, "category_id": category, "iscrowd": 0}
            annotations.append(common | {"bbox": corners, "area": corners[2] * corners[3]})
        for number in range(detections):
            corners, category = draw.choice(objects) if number % 3 == 0 else (box(), draw.randint(1, _CLASSES))
            moved = [value + draw.gauss(0, 8) for value in corners]
            moved[2:] = [max(1.0, side) for side in moved[2:]]
            results.append({"image_id": image_id, "category_id": category, "bbox": moved, "score": draw.random()})
    pictures = [{"id": i + 1, "width": 640, "height": 480} for i in range(images)]
    categories = [{"id": i, "name": f"class{i}"} for i in range(1, _CLASSES + 1)]
    truth = {"info": {}, "images": pictures, "annotations": annotations, "categories": categories}
    return truth, results
