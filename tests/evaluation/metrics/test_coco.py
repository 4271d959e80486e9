import contextlib
import copy
import gc
import io
import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from mvdet.evaluation.metrics.coco import BACKENDS, METRICS, CocoMetrics, evaluate_coco

pytest.importorskip("faster_coco_eval")
pytest.importorskip("pycocotools")

Json = dict[str, Any]
RandomCase = Callable[[int], tuple[Json, list[Json]]]

# What pycocotools prints for the COCO API's example, from ../shared/data/README.md
EXAMPLE = {
    "bbox": "0.5045807 0.6969727 0.5729817 0.5856257 0.5193997 0.5013979 "
    "0.3868128 0.5936796 0.5953530 0.6398110 0.5664206 0.5642906",
    "segm": "0.3195453 0.5622884 0.2989265 0.3873740 0.3101827 0.3269339 "
    "0.2682297 0.4154487 0.4168395 0.4694499 0.3767592 0.3814715",
}

each_backend = pytest.mark.parametrize("backend", BACKENDS)


@each_backend
@pytest.mark.parametrize("iou_type", EXAMPLE)
def test_the_coco_apis_example(coco_eval: Path, backend: Any, iou_type: Any) -> None:
    metrics = evaluate_coco(
        coco_eval / "instances_val2014_100.json",
        coco_eval / f"instances_val2014_fake{iou_type}100_results.json",
        backend=backend,
        iou_type=iou_type,
    )
    assert list(metrics.numbers) == list(METRICS)
    assert list(metrics.numbers.values()) == pytest.approx([float(x) for x in EXAMPLE[iou_type].split()], abs=1e-7)
    assert (metrics.images, metrics.objects, metrics.crowds, metrics.detections) == (100, 830, 9, 734)


def plain_pycocotools(truth: Json, results: list[Json]) -> list[float]:
    """The twelve numbers by pycocotools' own procedure, -1 where there is none."""
    from pycocotools.coco import COCO
    from pycocotools.cocoeval import COCOeval

    with contextlib.redirect_stdout(io.StringIO()):
        coco = COCO()
        coco.dataset = copy.deepcopy(truth)
        coco.createIndex()
        evaluation = COCOeval(coco, coco.loadRes(copy.deepcopy(results)), "bbox")
        evaluation.evaluate()
        evaluation.accumulate()
        evaluation.summarize()
    return [float(value) for value in evaluation.stats]


@pytest.mark.parametrize("seed", range(6))
def test_backends_agree_with_plain_pycocotools(random_case: RandomCase, seed: int) -> None:
    truth, results = random_case(seed)
    wanted = [None if value < 0 else value for value in plain_pycocotools(truth, results)]
    faster, slower = (evaluate_coco(truth, results, backend=backend) for backend in BACKENDS)
    assert list(slower.numbers.values()) == wanted
    assert list(faster.numbers.values()) == pytest.approx(wanted, abs=1e-12)
    for name, numbers in slower.per_class.items():
        assert faster.per_class[name] == pytest.approx(numbers, abs=1e-12)
    assert set(faster.curves) == set(slower.curves)
    for name, curve in slower.curves.items():
        assert faster.curves[name] == pytest.approx(curve, abs=1e-12)
    present = [numbers.AP for numbers in slower.per_class.values() if numbers.AP is not None]
    assert sum(present) / len(present) == pytest.approx(slower.AP)
    assert slower.per_class["class 80"] == (None, None, 0)


@each_backend
def test_perfect_detections(truth: Json, perfect: list[Json], backend: Any) -> None:
    metrics = evaluate_coco(truth, perfect, backend=backend)
    assert (metrics.AP, metrics.AP50, metrics.AP75, metrics.APm, metrics.AR100) == pytest.approx((1, 1, 1, 1, 1))
    assert metrics.APs is None
    assert metrics.APl is None
    # ids 3, 7, 90
    assert list(metrics.per_class) == ["cat", "dog", "toothbrush"]
    assert metrics.per_class["dog"] == pytest.approx((1, 1, 2))
    assert metrics.per_class["toothbrush"] == (None, None, 0)
    assert set(metrics.curves) == {"cat", "dog"}
    assert (metrics.images, metrics.objects, metrics.crowds, metrics.detections) == (3, 3, 1, 3)


@each_backend
def test_a_better_scored_miss_halves_precision(truth: Json, perfect: list[Json], backend: Any) -> None:
    miss = {"image_id": 9, "category_id": 3, "bbox": [0, 0, 5, 5], "score": 0.95}
    metrics = evaluate_coco(truth, [*perfect, miss], backend=backend)
    assert metrics.per_class["cat"] == pytest.approx((0.5, 0.5, 1))
    assert metrics.curves["cat"] == pytest.approx((0.5,) * 101)
    assert metrics.numbers["AP"] == pytest.approx(0.75)


@each_backend
def test_detections_in_a_crowd_are_not_counted(truth: Json, perfect: list[Json], backend: Any) -> None:
    crowd = [{"image_id": 2, "category_id": 7, "bbox": [110 + n, 10, 20, 20], "score": 0.99} for n in range(5)]
    assert evaluate_coco(truth, [*perfect, *crowd], backend=backend).numbers["AP"] == pytest.approx(1)


@each_backend
def test_an_object_without_area_cannot_be_found(truth: Json, perfect: list[Json], backend: Any) -> None:
    truth["annotations"].append({"image_id": 9, "category_id": 3, "bbox": [5, 5, 0, 10], "area": 0, "iscrowd": 0})
    flat = {"image_id": 9, "category_id": 3, "bbox": [5, 5, 0, 10], "score": 0.1}
    metrics = evaluate_coco(truth, [*perfect, flat], backend=backend)
    # recall 0, 0.01, ... 0.5 are reached
    assert metrics.per_class["cat"] == pytest.approx((51 / 101, 51 / 101, 2))


@each_backend
def test_no_detections(truth: Json, backend: Any) -> None:
    metrics = evaluate_coco(truth, [], backend=backend)
    exists = set(METRICS) - {"APs", "APl", "ARs", "ARl"}
    assert metrics.numbers == {name: 0.0 if name in exists else None for name in METRICS}
    assert metrics.per_class == {"cat": (0, 0, 1), "dog": (0, 0, 2), "toothbrush": (None, None, 0)}
    assert metrics.detections == 0


@each_backend
@pytest.mark.parametrize("with_detections", [False, True])
def test_no_objects(truth: Json, perfect: list[Json], backend: Any, with_detections: bool) -> None:
    truth["annotations"] = []
    metrics = evaluate_coco(truth, perfect if with_detections else [], backend=backend)
    assert set(metrics.numbers.values()) == {None}
    assert metrics.curves == {}


@each_backend
def test_only_a_hundred_detections_count(truth: Json, backend: Any) -> None:
    cat = {"image_id": 5, "category_id": 3, "bbox": [10, 10, 40, 40], "score": 0.1}
    misses = [{"image_id": 5, "category_id": 3, "bbox": [0, 0, 3, 3], "score": 0.5}]
    for count, precision in ((99, 0.01), (100, 0)):
        results = [*misses[:1] * count, cat]
        ap, _, _ = evaluate_coco(truth, results, backend=backend).per_class["cat"]
        assert ap == pytest.approx(precision)


@each_backend
@pytest.mark.parametrize("ids", [[0, 1, 2, 3], [1, 1, 1, 1], [None] * 4], ids=str)
def test_annotation_ids_play_no_part(truth: Json, perfect: list[Json], backend: Any, ids: list[int | None]) -> None:
    for annotation, new in zip(truth["annotations"], ids, strict=True):
        annotation.pop("id")
        if new is not None:
            annotation["id"] = new
    assert evaluate_coco(truth, perfect, backend=backend).numbers["AP"] == pytest.approx(1)


@each_backend
def test_categories_of_one_name_are_kept_apart(truth: Json, perfect: list[Json], backend: Any) -> None:
    for category in truth["categories"]:
        category["name"] = "apple"
    per_class = evaluate_coco(truth, perfect, backend=backend).per_class
    assert list(per_class) == ["apple (id 3)", "apple (id 7)", "apple (id 90)"]


@each_backend
@pytest.mark.parametrize("ids", [(2**64 - 1, 2**63, -5), (10**30, 1, -(2**70))])
def test_ids_of_any_size(truth: Json, perfect: list[Json], backend: Any, ids: tuple[int, ...]) -> None:
    expected = evaluate_coco(truth, perfect, backend=backend)
    for lists, key in (("images", "image_id"), ("categories", "category_id")):
        # in the order of the ids that they replace, which decides between equal scores
        new = dict(zip(sorted(entry["id"] for entry in truth[lists]), sorted(ids), strict=True))
        for entry in truth[lists]:
            entry["id"] = new[entry["id"]]
        for entry in (*truth["annotations"], *perfect):
            entry[key] = new[entry[key]]
    assert evaluate_coco(truth, perfect, backend=backend) == expected


@each_backend
@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16"])
def test_files_with_a_byte_order_mark(
    truth: Json, perfect: list[Json], backend: Any, tmp_path: Path, encoding: str
) -> None:
    files = [tmp_path / "a.json", tmp_path / "r.json"]
    for file, content in zip(files, (truth, perfect), strict=True):
        file.write_bytes(json.dumps(content).encode(encoding))
    assert evaluate_coco(*files, backend=backend) == evaluate_coco(truth, perfect, backend=backend)


@each_backend
def test_files_and_dicts_give_the_same(truth: Json, perfect: list[Json], backend: Any, tmp_path: Path) -> None:
    files = [tmp_path / "a.json", tmp_path / "r.json"]
    for file, content in zip(files, (truth, perfect), strict=True):
        file.write_text(json.dumps(content))
    assert evaluate_coco(*files, backend=backend) == evaluate_coco(truth, perfect, backend=backend)


@each_backend
def test_arguments_stay_and_nothing_is_printed(
    truth: Json, perfect: list[Json], backend: Any, capfd: pytest.CaptureFixture[str]
) -> None:
    before, stdout = copy.deepcopy((truth, perfect)), sys.stdout
    evaluate_coco(truth, perfect, backend=backend)
    assert sys.stdout is stdout
    assert (truth, perfect) == before
    assert capfd.readouterr() == ("", "")


@each_backend
def test_as_dict_is_json(truth: Json, backend: Any) -> None:
    content = json.loads(json.dumps(evaluate_coco(truth, [], backend=backend).as_dict(), allow_nan=False))
    assert content["metrics"]["AP"] == 0
    assert content["metrics"]["APs"] is None
    assert content["per_class"]["toothbrush"] == {"AP": None, "AP50": None, "objects": 0}
    assert content["counts"] == {"images": 3, "objects": 3, "crowds": 1, "detections": 0}
    assert content["backend"] == backend
    assert content["backend_version"][0].isdigit()


@pytest.mark.parametrize("option", [{"backend": "coco"}, {"iou_type": "keypoints"}])
def test_unknown_options(truth: Json, option: Json) -> None:
    (name, value), *_ = option.items()
    with pytest.raises(ValueError, match=rf"{name} must be one of .*, got '{value}'"):
        evaluate_coco(truth, [], **option)


def with_masks(truth: Json) -> tuple[Json, list[Json]]:
    """A square object as polygon and its left two thirds as compressed run lengths, with a box that says otherwise."""
    from pycocotools import mask as mask_api

    truth["annotations"] = truth["annotations"][:1]
    truth["annotations"][0]["segmentation"] = [[10, 10, 50, 10, 50, 50, 10, 50]]
    run_lengths = mask_api.frPyObjects([[10, 10, 40, 10, 40, 50, 10, 50]], 100, 200)[0]
    mask = {"size": run_lengths["size"], "counts": run_lengths["counts"].decode()}
    result = {"image_id": 5, "category_id": 3, "segmentation": mask, "score": 0.5, "bbox": [0, 0, 1, 1]}
    return truth, [result]


@each_backend
def test_masks_are_compared_and_measured_as_masks(truth: Json, backend: Any) -> None:
    truth, results = with_masks(truth)
    metrics: CocoMetrics = evaluate_coco(truth, results, backend=backend, iou_type="segm")
    assert (metrics.AP, metrics.APm) == pytest.approx((0.6, 0.6))  # IoU 0.75: six of ten thresholds
    assert evaluate_coco(truth, results, backend=backend).numbers["AP"] == 0


@pytest.mark.parametrize(
    ("mask", "problem"),
    [
        (None, "segmentation must be compressed run lengths"),
        ([[1, 1, 5, 1, 5, 5]], "segmentation must be compressed run lengths"),
        ({"size": [200, 100], "counts": "PPP"}, r"mask of size \[200, 100\] in an image of .* \[100, 200\]"),
        ({"size": [100, 200], "counts": "111"}, "cover 3 pixels of 20000"),
        ({"size": [100, 200], "counts": "ab"}, "end within a number"),
        ({"size": [100, 200], "counts": "zz"}, "characters 0 to o"),
    ],
)
def test_broken_masks_are_refused(truth: Json, mask: Any, problem: str) -> None:
    truth, results = with_masks(truth)
    results[0]["segmentation"] = mask
    with pytest.raises(ValueError, match=rf"results: entry \[0\]: .*{problem}"):
        evaluate_coco(truth, results, backend="pycocotools", iou_type="segm")


@pytest.mark.parametrize("mask", [None, [], [[1, 1, 5, 5]], {"size": [100, 200], "counts": [5, 5]}], ids=str)
def test_broken_masks_in_the_ground_truth_are_refused(truth: Json, mask: Any) -> None:
    truth, results = with_masks(truth)
    truth["annotations"][0]["segmentation"] = mask
    with pytest.raises(ValueError, match=r"ground truth: annotations\[0\]: "):
        evaluate_coco(truth, results, iou_type="segm")


@pytest.mark.parametrize("enabled", [True, False])
def test_garbage_collection_is_left_as_it_was(truth: Json, perfect: list[Json], enabled: bool) -> None:
    was_enabled = gc.isenabled()
    try:
        gc.enable() if enabled else gc.disable()
        evaluate_coco(truth, perfect)
        assert gc.isenabled() == enabled
        with pytest.raises(ValueError, match="score"):
            evaluate_coco(truth, [perfect[0] | {"score": "high"}])
        assert gc.isenabled() == enabled
    finally:
        gc.enable() if was_enabled else gc.disable()
