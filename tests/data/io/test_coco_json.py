import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mvdet.data.io.coco_json import CocoAnnotations, read_ground_truth, without_group
from mvdet.data.io.coco_masks import mask_polygons
from mvdet.data.io.contours import Instance, mask_box
from mvdet.data.io.faults import BadData, Fault

coco_api = pytest.importorskip("pycocotools.coco")

Json = dict[str, Any]


@pytest.fixture
def truth() -> Json:
    """Three images, the last without objects; categories 3, 7 and 90, the last without objects; a crowd of class 7."""
    return {
        "images": [{"id": n, "file_name": f"{n}.png", "width": 200, "height": 100} for n in (5, 2, 9)],
        "categories": [{"id": 7, "name": "dog"}, {"id": 3, "name": "cat"}, {"id": 90, "name": "toothbrush"}],
        "annotations": [
            {"id": 1, "image_id": 5, "category_id": 3, "bbox": [10, 10, 40, 40], "area": 1600, "iscrowd": 0},
            {"id": 2, "image_id": 5, "category_id": 7, "bbox": [100, 10, 50, 50], "area": 2500, "iscrowd": 0},
            {"id": 3, "image_id": 2, "category_id": 7, "bbox": [20, 20, 60, 60], "area": 3600, "iscrowd": 0},
            {"id": 4, "image_id": 2, "category_id": 7, "bbox": [100, 0, 100, 100], "area": 10000, "iscrowd": 1},
        ],
    }


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
        (("annotations", 3, "bbox"), None, "bbox must be 4 finite numbers"),
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
        ("[]", "must be an object, got a list; it may be a file of results"),
        ("3", "must be an object, got int"),
        ('{"images": []', "not json"),
        (
            '{"images": [{"id": 1}], "categories": [{"id": 1, "name": "a"}]}',
            "no annotations; its keys are images, categories",
        ),
        ('{"annotations": []}', "not COCO instances: no images, categories; its keys are annotations"),
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
    file.write_bytes(b"\x80{}")
    with pytest.raises(ValueError, match=r"a\.json: not json"):
        read_ground_truth(file)


def test_data_sets_report_items_and_leave_them_out(truth: Json) -> None:
    truth["annotations"] += [
        {"id": 5, "image_id": 9, "category_id": 3, "bbox": [5, 5, 0, 10]},
        {"id": 1, "image_id": 9, "category_id": 3, "bbox": [5, 5, 10, 10]},
        {"id": 6, "image_id": 9, "category_id": 3, "bbox": [5, 5, 10, 10], "iscrowd": 2},
        {"id": 7, "image_id": 9, "category_id": 3, "bbox": [5, 5, 10, 10], "iscrowd": None, "segmentation": [[1]]},
    ]
    truth["images"].append({"id": 2, "file_name": "again.png", "width": 1, "height": 1})
    bad_data = BadData("set", "skip")
    read = read_ground_truth(truth, bad_data)
    assert bad_data.counts == {Fault.DUPLICATE_ID: 2, Fault.NO_AREA: 1, Fault.BAD_FLAG: 1}
    assert [(item.box_xywh, item.crowd) for item in read.objects[4:]] == [((5, 5, 10, 10), False)]
    assert read.objects[4].segmentation is None
    assert read.images[2].file_name == "2.png"


@pytest.mark.parametrize(
    ("key", "name"), [("images", "file_name"), ("images", "width"), ("images", "height"), ("annotations", "id")]
)
def test_data_sets_need_more_than_metrics(truth: Json, key: str, name: str) -> None:
    del truth[key][1][name]
    assert len(read_ground_truth(truth).objects) == 4
    with pytest.raises(ValueError, match=rf"{key}\[1\].*: {name} must be .*, got None"):
        read_ground_truth(truth, BadData("set", "skip"))


# Writing


def test_pycocotools_gets_back_exact_masks(tmp_path: Path) -> None:
    height, width = 40, 61
    ring = np.zeros((height, width), dtype=bool)
    ring[2:20, 3:30] = True
    ring[8:12, 10:20] = False  # a hole,
    ring[30:40, 50:61] = True  # a second piece that reaches the corner,
    ring[29, 49] = True  # and a pixel that touches it diagonally
    noise = (np.random.default_rng(0).random((height, width)) < 0.4) & ~ring
    coco = CocoAnnotations(("ring", "noise"), "test")
    coco.add(7, "a.jpg", width, height, [Instance(1, noise, mask_box(noise)), Instance(0, ring, mask_box(ring))])
    coco.add(8, "b.jpg", 10, 10, [])
    coco.write(tmp_path / "a.json")

    read = coco_api.COCO(str(tmp_path / "a.json"))
    assert read.getImgIds() == [7, 8]
    assert {category["id"]: category["name"] for category in read.loadCats(read.getCatIds())} == {1: "ring", 2: "noise"}
    annotations = read.loadAnns(read.getAnnIds(imgIds=7))
    for annotation, mask, category in zip(annotations, (noise, ring), (2, 1), strict=True):
        assert np.array_equal(read.annToMask(annotation).astype(bool), mask)
        assert annotation["category_id"] == category
        assert annotation["area"] == mask.sum()
        x, y, w, h = annotation["bbox"]
        assert (x, y, x + w, y + h) == mask_box(mask)
    assert len(mask_polygons(ring)) == 3


def test_what_does_not_fit_is_refused() -> None:
    mask = np.ones((4, 6), dtype=bool)
    coco = CocoAnnotations(("a",), "test")
    with pytest.raises(ValueError, match=r"x.jpg.*\(4, 6\).*\(6, 4\)"):
        coco.add(1, "x.jpg", 4, 6, [Instance(0, mask, mask_box(mask))])
    with pytest.raises(ValueError, match=r"x.jpg: label 1, allowed are 0 to 0"):
        coco.add(1, "x.jpg", 6, 4, [Instance(1, mask, mask_box(mask))])


GROUP = [{"id": 0, "name": "pets", "supercategory": "none"}, {"id": 1, "name": "cat", "supercategory": "pets"}]


@pytest.mark.parametrize(
    ("categories", "used", "kept"),
    [
        (GROUP, [1], [1]),
        ([*GROUP, {"id": 2, "name": "dog", "supercategory": "pets"}], [1], [1, 2]),
        ([GROUP[0] | {"name": "cat"}, GROUP[1] | {"supercategory": "cat"}], [1], [1]),  # a class's own name
        (GROUP, [0, 1], [0, 1]),  # it has objects
        ([*GROUP, {"id": 2, "name": "car", "supercategory": "things"}], [1], [0, 1, 2]),  # not everybody's group
        ([GROUP[0], {"id": 1, "name": "cat"}], [1], [0, 1]),
        (GROUP[:1], [], [0]),
        (
            [{"id": 1, "name": "cat", "supercategory": "cat"}, {"id": 2, "name": "dog", "supercategory": "cat"}],
            [2],
            [1, 2],
        ),
    ],
)
def test_a_category_that_names_the_group(
    categories: list[dict[str, Any]], used: list[int], kept: list[int], caplog: pytest.LogCaptureFixture
) -> None:
    annotations = [{"category_id": number} for number in used]
    assert [entry["id"] for entry in without_group(categories, annotations, "a.json")] == kept
    dropped = len(kept) < len(categories)
    assert ("a.json: category 0" in caplog.text) == dropped
