import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.utils.data import DistributedSampler

from mvdet.data.io.coco_json import read_ground_truth
from mvdet.evaluation.metrics.coco import evaluate_coco
from mvdet.evaluation.results import check_results, merge_ranks, read_results, to_results, write_results

Json = dict[str, Any]


def detections(boxes: Any, scores: Any, labels: Any, dtype: torch.dtype = torch.float32) -> dict[str, Tensor]:
    return {
        "boxes": torch.tensor(boxes, dtype=dtype).reshape(-1, 4),
        "scores": torch.tensor(scores, dtype=dtype),
        "labels": torch.tensor(labels, dtype=torch.int64),
    }


def test_boxes_scores_and_labels() -> None:
    found = detections([[10.25, 20, 30.3, 45.7], [0, 0, 0, 5]], [0.7, 0.1], [2, 1])
    assert to_results(17, found, [3, 90]) == [
        {"image_id": 17, "category_id": 90, "bbox": [10.25, 20, 20.05, 25.7], "score": 0.7},
        {"image_id": 17, "category_id": 3, "bbox": [0, 0, 0, 5], "score": 0.1},
    ]
    assert to_results(17, detections([], [], []), [3, 90]) == []


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.float16, torch.bfloat16], ids=str)
def test_scores_come_back_exactly(dtype: torch.dtype) -> None:
    found = {
        "boxes": torch.zeros(500, 4, dtype=dtype),
        "scores": torch.rand(500, dtype=torch.float64).to(dtype),
        "labels": torch.ones(500, dtype=torch.int64),
    }
    scores = [entry["score"] for entry in to_results(1, found, [1])]
    assert torch.equal(torch.tensor(scores, dtype=torch.float64).to(dtype), found["scores"])
    assert all(type(score) is float for score in scores)


def test_neighbouring_scores_stay_apart() -> None:
    high = torch.tensor([0.9])
    scores = torch.cat((high, torch.nextafter(high, torch.zeros(1))))
    found = {"boxes": torch.zeros(2, 4), "scores": scores, "labels": torch.ones(2, dtype=torch.int64)}
    first, second = (entry["score"] for entry in to_results(1, found, [1]))
    assert first > second


def test_rounding_does_not_change_the_metrics(coco_eval: Path) -> None:
    truth = read_ground_truth(coco_eval / "instances_val2014_100.json")
    original = read_results(coco_eval / "instances_val2014_fakebbox100_results.json")
    category_ids = list(truth.class_names)
    written = []
    for image_id in truth.images:
        here = [entry for entry in original if entry["image_id"] == image_id]
        boxes = [(x, y, x + w, y + h) for x, y, w, h in (entry["bbox"] for entry in here)]
        labels = [category_ids.index(entry["category_id"]) + 1 for entry in here]
        written += to_results(
            image_id, detections(boxes, [entry["score"] for entry in here], labels), category_ids=category_ids
        )
    expected = evaluate_coco(truth, original).numbers
    assert evaluate_coco(truth, written).numbers == pytest.approx(expected, abs=1e-9)


@pytest.mark.parametrize(
    ("found", "problem"),
    [
        (detections([[0, 0, 1, 1]], [0.5], [0]), "labels must be 1 to 2, got 0"),
        (detections([[0, 0, 1, 1]], [0.5], [3]), "labels must be 1 to 2, got 3"),
        (detections([[0, 0, 1, 1]], [math.nan], [1]), "must be finite"),
        (detections([[0, 0, math.inf, 1]], [0.5], [1]), "must be finite"),
        (detections([[5, 0, 1, 1]], [0.5], [1]), r"x2 >= x1 and y2 >= y1, got \[5.0, 0.0, 1.0, 1.0\]"),
        (detections([[0, 0, 1, 1]], [0.5, 0.6], [1]), r"got boxes \[1, 4\], scores \[2\], labels \[1\]"),
    ],
)
def test_detections_that_are_none(found: dict[str, Tensor], problem: str) -> None:
    with pytest.raises(ValueError, match=rf"detections of image 17: .*{problem}"):
        to_results(17, found, [3, 90])


def test_written_and_read(tmp_path: Path, perfect: list[Json]) -> None:
    write_results(tmp_path / "r.json", perfect)
    assert read_results(tmp_path / "r.json") == perfect
    write_results(tmp_path / "r.json", [])
    assert read_results(tmp_path / "r.json") == []
    with pytest.raises(ValueError, match="not JSON compliant"):
        write_results(tmp_path / "r.json", [{"score": math.nan}])


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ('{"annotations": []}', "must be a list of detections, got dict"),
        ("[[1]]", r"entry \[0\] must be an object, got \[1\]"),
        ("[", "not json"),
    ],
)
def test_files_that_are_no_results(tmp_path: Path, text: str, problem: str) -> None:
    (tmp_path / "r.json").write_text(text)
    with pytest.raises(ValueError, match=rf"r\.json: .*{problem}"):
        read_results(tmp_path / "r.json")


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ({"image_id": 1}, "unknown image_id 1: not in ground truth"),
        ({"image_id": "5"}, "image_id must be a whole number, got '5'"),
        ({"category_id": 4}, "unknown category_id 4: not in ground truth"),
        ({"category_id": 3.0}, r"category_id must be a whole number, got 3\.0"),
        ({"bbox": [1, 2, 3]}, "bbox must be 4 finite numbers"),
        ({"bbox": [1, 2, math.inf, 4]}, "bbox must be 4 finite numbers"),
        ({"bbox": [1, 2, 3, -4]}, "width and height of 0 or more"),
        ({"bbox": None}, "bbox must be 4 finite numbers"),
        ({"score": math.nan}, "score must be a finite number, got nan"),
        ({"score": "high"}, "score must be a finite number, got 'high'"),
        ({"score": ...}, "has no score, only image_id, category_id, bbox"),
        ({"bbox": ...}, "has no bbox, only image_id, category_id, score"),
        ({"bbox": ..., "segmentation": {}}, "iou_type 'segm'"),
    ],
    ids=str,
)
def test_entries_that_cannot_be_scored(
    truth: Json, perfect: list[Json], tmp_path: Path, change: Json, problem: str
) -> None:
    perfect[1] = {key: value for key, value in {**perfect[1], **change}.items() if value is not ...}
    (tmp_path / "r.json").write_text(json.dumps(perfect))
    with pytest.raises(ValueError, match=rf"r\.json: entry \[1\]: .*{problem}"):
        check_results(tmp_path / "r.json", read_ground_truth(truth))


def test_checked_entries_are_new_and_may_repeat(truth: Json, perfect: list[Json]) -> None:
    perfect[0]["comment"] = "mine"
    checked = check_results([*perfect, perfect[0]], read_ground_truth(truth))
    assert len(checked) == 4
    wanted = {key: perfect[0][key] for key in ("image_id", "category_id", "bbox", "score")}
    area = perfect[0]["bbox"][2] * perfect[0]["bbox"][3]
    assert checked[0] == wanted | {"id": 1, "iscrowd": 0, "area": area}
    assert checked[3] == checked[0] | {"id": 4}


@pytest.mark.parametrize("ranks", [1, 2, 3, 7])
def test_ranks_together_give_what_one_process_gives(
    random_case: Callable[[int], tuple[Json, list[Json]]], ranks: int
) -> None:
    truth, results = random_case(1)
    ids = [image["id"] for image in truth["images"]]  # 12, one of them without objects and detections
    seen = [
        [
            (ids[index], [entry for entry in results if entry["image_id"] == ids[index]])
            for index in DistributedSampler(ids, num_replicas=ranks, rank=rank, shuffle=True)
        ]
        for rank in range(ranks)
    ]
    merged = merge_ranks(seen, expected_ids=ids)
    assert len(merged) == len(results)
    assert sum(map(len, seen)) == -(-len(ids) // ranks) * ranks  # with repeats where they do not divide
    assert evaluate_coco(truth, merged).numbers == evaluate_coco(truth, results).numbers
    assert merged == merge_ranks([[pair for rank in seen for pair in rank]])


def test_ranks_that_do_not_fit(perfect: list[Json]) -> None:
    first, second = [(5, perfect[:2])], [(2, perfect[2:]), (9, [])]
    assert merge_ranks([first, second], expected_ids=[9, 5, 2]) == [perfect[2], perfect[0], perfect[1]]
    with pytest.raises(ValueError, match=r"1 of 3 images seen by no rank, the first ids: \[5\]"):
        merge_ranks([second], expected_ids=[9, 5, 2])
    with pytest.raises(ValueError, match=r"1 of 2 images seen, but not expected, the first ids: \[9\]"):
        merge_ranks([first, second], expected_ids=[5, 2])
    with pytest.raises(ValueError, match="results of image 9 hold an entry of image 5"):
        merge_ranks([[(9, perfect[:1])]])
