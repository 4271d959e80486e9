import json
import re
from pathlib import Path
from typing import Any

import pytest

from mvdet.data.io.coco_json import read_ground_truth, read_json, without_group
from mvdet.data.io.faults import BadData, Fault

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
        (("annotations", 3), 7, r"annotations\[3\]: must be an object, got int"),
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
    ("path", "value", "fault", "problem"),
    [
        (("images", 1), 7, Fault.BAD_IMAGE, r"images\[1\]: must be an object, got int"),
        (("images", 1, "id"), "2", Fault.BAD_IMAGE, r"images\[1\]: id must be a whole number, got '2'"),
        (("images", 1, "id"), 2**64, Fault.BAD_IMAGE, r"image 18446744073709551616 \(2.png\): id must be from "),
        (("images", 1, "width"), "200", Fault.BAD_IMAGE, r"image 2 \(2.png\): width must be a whole .* got '200'"),
        (("images", 1, "height"), 0, Fault.BAD_IMAGE, r"image 2 \(2.png\): height must be a whole number .* got 0"),
        (("images", 1, "height"), None, Fault.BAD_IMAGE, r"image 2 \(2.png\): height must be .* got None"),
        (("images", 1, "file_name"), None, Fault.BAD_IMAGE, r"image 2 \(None\): file_name must be a text, got None"),
        (("images", 1, "file_name"), " ", Fault.BAD_IMAGE, "file_name must be a text, got ' '"),
        (("categories", 1), [], Fault.BAD_CATEGORY, r"categories\[1\]: must be an object, got a list"),
        (("categories", 2, "id"), "90", Fault.BAD_CATEGORY, r"categories\[2\]: id must be a whole number, got '90'"),
        (("categories", 2, "id"), 3, Fault.DUPLICATE_ID, r"categories\[2\]: id 3 occurs twice"),
        (("categories", 2, "name"), None, Fault.BAD_CATEGORY, r"categories\[2\]: name must be a text, got None"),
        (("annotations", 0), None, Fault.BAD_ID, r"annotations\[0\]: must be an object, got null"),
        (("annotations", 0, "image_id"), "5", Fault.BAD_ID, r"annotations\[0\]: image_id must be a whole .* got '5'"),
        (("annotations", 0, "category_id"), "3", Fault.BAD_ID, r"annotation 1 of image 5 \(5.png\): category_id must"),
        (("annotations", 0, "bbox"), None, Fault.NOT_A_BOX, "bbox must be 4 finite numbers"),
        (("annotations", 0, "bbox"), ["1", "2", "3", "4"], Fault.NOT_A_BOX, "bbox must be 4 finite numbers"),
        (("annotations", 0, "bbox"), [1, 2, 10**400, 4], Fault.NOT_A_BOX, "bbox must be 4 finite numbers"),
        (("annotations", 0, "bbox"), [50, 50, 10, -40], Fault.NO_AREA, "width and height of 0 or more"),
        (("annotations", 0, "area"), "1600", Fault.BAD_AREA, "area must be a number of 0 or more, got '1600'"),
    ],
)
def test_a_broken_entry_is_one_bad_item(
    truth: Json, path: tuple[Any, ...], value: Any, fault: Fault, problem: str
) -> None:
    parent: Any = truth
    for key in path[:-1]:
        parent = parent[key]
    parent[path[-1]] = value
    bad_data = BadData("set", "skip")
    read = read_ground_truth(truth, bad_data)
    expected = {fault: 1}
    if path[:1] == ("categories",) and path[1] == 1:  # with the objects of that category
        expected[Fault.UNKNOWN_CATEGORY] = 1
    if path == ("images", 1, "id") or path == ("images", 1):
        expected[Fault.UNKNOWN_IMAGE] = 2
    assert bad_data.counts == expected
    assert len(read.objects) == 4 - (path[0] == "annotations") - 2 * (path[:2] == ("images", 1)) - (
        path[:2] == ("categories", 1)
    )
    assert re.search(rf"{fault}: .*{problem}", bad_data.summary())


def test_what_nothing_uses_is_not_judged(truth: Json) -> None:
    truth["annotations"][0] |= {"id": None, "area": None, "iscrowd": None, "segmentation": "nonsense"}
    truth |= {"info": 7, "licenses": None}
    bad_data = BadData("set", "error")
    read = read_ground_truth(truth, bad_data)
    assert not bad_data.counts
    assert (read.objects[0].area, read.objects[0].crowd) == (1600, False)


@pytest.mark.parametrize("key", ["images", "categories"])
def test_nothing_usable_in_a_list(truth: Json, tmp_path: Path, key: str) -> None:
    for entry in truth[key]:
        entry["id"] = str(entry["id"])
    file = tmp_path / "a.json"
    file.write_text(json.dumps(truth))
    with pytest.raises(ValueError, match=rf"a\.json: no entry of '{key}' can be used; .*left out 3 bad items"):
        read_ground_truth(file, BadData(file, "skip"))


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
        ([{"id": 0, "supercategory": "none"}, {"id": 1, "name": "cat"}], [1], [0, 1]),
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
    assert [entry["id"] for entry in without_group(categories, [*annotations, None], "a.json")] == kept
    dropped = len(kept) < len(categories)
    assert ("a.json: category 0" in caplog.text) == dropped
    no_categories = [None, {"id": "x"}]
    assert without_group([*no_categories, *categories], annotations, "a.json")[:2] == no_categories


@pytest.mark.parametrize("image_id", [2**63 - 1, 2**63, 2**64 - 1, -(2**63), -1])
def test_large_image_ids(truth: Json, image_id: int) -> None:
    truth["images"][0]["id"] = image_id
    for entry in truth["annotations"][:2]:
        entry["image_id"] = image_id
    read = read_ground_truth(truth, BadData("set", "error"))
    key = next(iter(read.images))
    assert -(2**63) <= key < 2**63
    assert key % 2**64 == image_id % 2**64
    assert read.images[key].id == image_id
    assert [item.image_id for item in read.objects] == [key, key, 2, 2]
    assert read_ground_truth(truth).images[image_id].id == image_id


def test_ids_that_are_one_as_int64(truth: Json) -> None:
    truth["images"][0]["id"], truth["images"][1]["id"] = -1, 2**64 - 1
    bad_data = BadData("set", "skip")
    read = read_ground_truth(truth, bad_data)
    assert bad_data.counts == {Fault.DUPLICATE_ID: 1, Fault.UNKNOWN_IMAGE: 4}
    assert [image.id for image in read.images.values()] == [-1, 9]


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-32", "gb18030"])
def test_encodings(truth: Json, tmp_path: Path, encoding: str) -> None:
    truth["categories"][0]["name"] = "红灯"
    file = tmp_path / "a.json"
    file.write_bytes(json.dumps(truth, ensure_ascii=False).encode(encoding))
    assert read_json(file) == truth
    assert read_ground_truth(file).class_names[7] == "红灯"


def test_lists_in_lists(tmp_path: Path) -> None:
    file = tmp_path / "a.json"
    file.write_text("[" * 100_000)
    with pytest.raises(ValueError, match=r"a\.json: not json that can be read: too many lists in lists"):
        read_json(file)
