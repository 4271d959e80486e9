import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mvdet.evaluation.ground_truth import mask_problem, read_ground_truth, run_lengths

mask_api = pytest.importorskip("pycocotools.mask")


@pytest.mark.parametrize("seed", range(5))
def test_run_lengths_of_pycocotools_own_text(seed: int) -> None:
    height, width = 37, 101
    mask = np.random.default_rng(seed).random((height, width)) < 0.1 * seed
    if seed == 3:
        mask[:, 20:90] = True  # runs of thousands, whose differences are negative
    flat = mask.flatten(order="F")
    changes = np.flatnonzero(np.diff(flat, prepend=False)).tolist()
    wanted = np.diff([0, *changes, flat.size]).tolist()
    encoded = mask_api.encode(np.asfortranarray(mask.astype(np.uint8)))
    assert run_lengths(encoded["counts"]) == run_lengths(encoded["counts"].decode()) == wanted
    assert mask_problem({"size": [height, width], "counts": encoded["counts"].decode()}, height, width) is None
    assert mask_problem({"size": [height, width], "counts": wanted}, height, width) is None


@pytest.mark.parametrize(
    ("mask", "problem"),
    [
        ([[0, 0, 5, 0, 5]], "three points"),
        ([[0, 0, 5, 0, 5, None]], "three points"),
        ({"size": [4, 6], "counts": [25, -1]}, "0 or more"),
        ({"size": [4, 6], "counts": 24}, "whole numbers"),
        ({"size": [4, 6]}, "polygons or run lengths"),
        ("24", "polygons or run lengths"),
    ],
)
def test_problems(mask: object, problem: str) -> None:
    assert problem in (mask_problem(mask, 4, 6) or "")


def test_size_is_needed() -> None:
    assert "width and height" in (mask_problem({"size": [4, 6], "counts": [24]}, None, None) or "")


Json = dict[str, Any]


def test_what_is_read(truth: Json) -> None:
    truth["annotations"][0]["difficult"] = 1
    del truth["annotations"][1]["area"], truth["annotations"][1]["iscrowd"]
    read = read_ground_truth(truth)
    assert list(read.images) == [5, 2, 9]
    assert (read.images[2].file_name, read.images[2].width, read.images[2].height) == ("2.png", 200, 100)
    assert list(read.class_names.items()) == [(3, "cat"), (7, "dog"), (90, "toothbrush")]
    assert [item.counts for item in read.objects] == [False, True, True, False]
    assert (read.objects[1].area, read.objects[1].crowd) == (2500, False)
    assert {image: len(items) for image, items in read.objects_by_image().items()} == {5: 2, 2: 2, 9: 0}
    assert read_ground_truth(read) is read


@pytest.mark.parametrize(
    ("path", "value", "problem"),
    [
        (("images",), None, "'images' must be a list, got null"),
        (("images",), [], "'images' is empty"),
        (("categories",), [], "'categories' is empty"),
        (("images", 1, "id"), "2", r"images\[1\]: id must be a whole number, got '2'"),
        (("images", 1, "id"), 5, r"images\[1\]: id 5 occurs twice"),
        (("images", 0, "width"), 0, r"images\[0\]: width must be a whole number of at least 1, got 0"),
        (("categories", 2, "id"), 3, r"categories\[2\]: id 3 occurs twice"),
        (("categories", 2, "name"), "", r"categories\[2\]: name must be a text, got ''"),
        (("annotations", 3), 7, r"annotations\[3\] must be an object, got int"),
        (("annotations", 3, "image_id"), 77, r"annotations\[3\] \(id 4\): image_id 77 is not among the 3 images"),
        (("annotations", 3, "image_id"), True, "image_id must be a whole number, got True"),
        (("annotations", 3, "category_id"), 1, r"\(id 4\): category_id 1 is not among the categories, 3, 7, 90"),
        (("annotations", 3, "bbox"), [1, 2, 3], r"\(id 4\): bbox must be 4 finite numbers .* got \[1, 2, 3\]"),
        (("annotations", 3, "bbox"), [1, 2, 3, float("nan")], "bbox must be 4 finite numbers"),
        (("annotations", 3, "bbox"), "1234", "bbox must be 4 finite numbers"),
        (("annotations", 3, "bbox"), [1, 2, -3, 4], "width and height of 0 or more"),
        (("annotations", 3, "area"), -1, "area must be a number of 0 or more, got -1"),
        (("annotations", 3, "iscrowd"), 2, "iscrowd must be 0 or 1, got 2"),
        (("annotations", 3, "difficult"), "yes", "difficult must be 0 or 1, got 'yes'"),
    ],
)
def test_what_is_wrong_is_named(truth: Json, tmp_path: Path, path: tuple[Any, ...], value: Any, problem: str) -> None:
    parent: Any = truth
    for key in path[:-1]:
        parent = parent[key]
    parent[path[-1]] = value
    file = tmp_path / "a.json"
    file.write_text(json.dumps(truth))
    with pytest.raises(ValueError, match=rf"a\.json: .*{problem}"):
        read_ground_truth(file)


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("[]", "must be an object, got a list"),
        ('{"images": []', "not json"),
        ('{"images": [{"id": 1}], "categories": [{"id": 1, "name": "a"}]}', "must have 'annotations', got the keys"),
        ('{"annotations": []}', r"must have 'images', got the keys \['annotations'\]"),
    ],
)
def test_other_files(tmp_path: Path, text: str, problem: str) -> None:
    file = tmp_path / "a.json"
    file.write_text(text)
    with pytest.raises(ValueError, match=rf"a\.json: .*{problem}"):
        read_ground_truth(file)


def test_not_text_and_not_there(tmp_path: Path) -> None:
    file = tmp_path / "a.json"
    with pytest.raises(FileNotFoundError, match=r"a\.json"):
        read_ground_truth(file)
    file.write_bytes(b"\xff\xfe{}")
    with pytest.raises(ValueError, match=r"a\.json: not json"):
        read_ground_truth(file)
