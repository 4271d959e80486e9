import json
import math
import re
from collections.abc import Callable
from copy import deepcopy
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from mvdet.data.datasets.coco import CocoDetection, coco_split
from mvdet.data.io.coco_json import read_ground_truth
from mvdet.data.io.faults import Fault, Remark
from mvdet.data.transforms.detection import train_transform

LARGE_ID = 908_400_553_664

CONTENT: dict[str, Any] = {
    "info": {"description": "test"},
    "images": [
        {"id": 30, "file_name": "a.png", "width": 64, "height": 48},
        {"id": 10, "file_name": "sub/b.png", "width": 20, "height": 30},
        {"id": 20, "file_name": "c.png", "width": 8, "height": 8},
    ],
    "annotations": [
        {"id": 5, "image_id": 30, "category_id": 44, "bbox": [1.5, 2, 10, 20], "area": 123.25, "iscrowd": 0},
        {"id": LARGE_ID, "image_id": 30, "category_id": 3, "bbox": [0, 0, 64, 48], "area": 99, "iscrowd": 1},
        {"id": 3, "image_id": 10, "category_id": 7, "bbox": [10, 10, 15, 25]},  # leaves the image
    ],
    "categories": [{"id": 44, "name": "cup"}, {"id": 3, "name": "car"}, {"id": 7, "name": "hat"}],
}


def write(folder: Path, content: Any = CONTENT) -> tuple[Path, Path]:
    """The json and its images; returns what `CocoDetection` takes."""
    (folder / "images/sub").mkdir(parents=True, exist_ok=True)
    for image in CONTENT["images"]:
        Image.new("RGB", (image["width"], image["height"])).save(folder / "images" / image["file_name"])
    file = folder / "instances.json"
    file.write_text(content if isinstance(content, str) else json.dumps(content))
    return file, folder / "images"


def changed(**changes: Any) -> dict[str, Any]:
    """CONTENT with entries changed, e.g. `annotations_0={"id": 3}`; a key that becomes None is removed."""
    content = deepcopy(CONTENT)
    for where, values in changes.items():
        key, _, index = where.rpartition("_")
        entry = content[key][int(index)]
        entry.update(values)
        for name in [name for name, value in entry.items() if value is None]:
            del entry[name]
    return content


def test_labels_follow_ascending_category_ids(tmp_path: Path) -> None:
    dataset = CocoDetection(*write(tmp_path), train=False)
    assert dataset.class_names == ("car", "hat", "cup")
    assert dataset.category_ids == (3, 7, 44)
    _, target = dataset[0]
    assert target["image_id"] == 30
    assert target["labels"].tolist() == [3, 1]
    assert target["boxes"].tolist() == [[1.5, 2, 11.5, 22], [0, 0, 64, 48]]
    assert target["area"].tolist() == [123.25, 99]
    assert target["iscrowd"].tolist() == [0, 1]


def test_crowds_are_no_training_targets_and_empty_images_stay(tmp_path: Path) -> None:
    dataset = CocoDetection(*write(tmp_path), train=True, transform=train_transform)
    assert len(dataset) == 3
    plain = CocoDetection(*write(tmp_path), train=True)
    assert [len(plain[i][1]["boxes"]) for i in range(3)] == [1, 1, 0]
    assert dataset[2][0].shape == (3, 320, 320)


def test_boxes_are_clipped_to_the_image(tmp_path: Path) -> None:
    dataset = CocoDetection(*write(tmp_path), train=True, on_bad_data="error")
    _, target = dataset[1]
    assert target["boxes"].tolist() == [[10, 10, 20, 30]]
    assert target["area"].tolist() == [15 * 25]  # the annotation gives none


def test_ground_truth_is_the_files(tmp_path: Path) -> None:
    for train in (True, False):
        truth = CocoDetection(*write(tmp_path), train=train).ground_truth()
        assert truth == read_ground_truth(tmp_path / "instances.json")
        assert truth.objects[2].box_xywh == (10, 10, 15, 25)  # not clipped
        assert truth.objects[2].area == 375


def test_the_file_of_a_validation_set_is_read_once(tmp_path: Path) -> None:
    dataset = CocoDetection(*write(tmp_path), train=False)
    (tmp_path / "instances.json").unlink()
    assert dataset.ground_truth() is dataset.ground_truth()
    assert len(dataset.ground_truth().objects) == 3


def test_an_annotation_may_have_the_id_0(tmp_path: Path) -> None:
    dataset = CocoDetection(*write(tmp_path, changed(annotations_0={"id": 0})), train=True)
    annotations = dataset.ground_truth().as_coco()["annotations"]
    assert [item["id"] for item in annotations] == [1, 2, 3]
    assert [item["category_id"] for item in annotations] == [44, 3, 7]


@pytest.mark.parametrize(
    ("changes", "fault", "message"),
    [
        ({"annotations_0": {"bbox": [1, 2, 0, 20]}}, Fault.NO_AREA, "annotation 5 of image 30 (a.png): "),
        ({"annotations_0": {"bbox": [1, 2, 10, -1]}}, Fault.NO_AREA, "0 or more, got [1, 2, 10, -1]"),
        ({"annotations_0": {"bbox": [64, 2, 10, 20]}}, Fault.OUTSIDE, "annotation 5 of image 30"),
        ({"annotations_0": {"bbox": [1, -20, 10, 20]}}, Fault.OUTSIDE, "annotation 5 of image 30"),
        ({"annotations_0": {"bbox": [1, math.nan, 10, 20]}}, Fault.NOT_A_BOX, "annotation 5 of image 30"),
        ({"annotations_0": {"bbox": [1, 2, 10, math.inf]}}, Fault.NOT_A_BOX, "annotation 5 of image 30"),
        ({"annotations_0": {"bbox": [1, 2, 10]}}, Fault.NOT_A_BOX, "annotation 5 of image 30"),
        ({"annotations_0": {"bbox": [1, 2, 10, "9"]}}, Fault.NOT_A_BOX, "annotation 5 of image 30"),
        ({"annotations_0": {"area": math.nan}}, Fault.BAD_AREA, "annotation 5 of image 30"),
        ({"annotations_0": {"area": -3}}, Fault.BAD_AREA, "annotation 5 of image 30"),
        (
            {"annotations_0": {"category_id": 4}},
            Fault.UNKNOWN_CATEGORY,
            "category_id 4 is not among the categories, 3, 7, 44",
        ),
        ({"annotations_0": {"image_id": 31}}, Fault.UNKNOWN_IMAGE, "annotation 5 of image 31 (not listed)"),
    ],
)
def test_bad_annotations(tmp_path: Path, changes: dict[str, Any], fault: Fault, message: str) -> None:
    files = write(tmp_path, changed(**changes))
    with pytest.raises(ValueError, match=re.escape(str(files[0]))) as error:
        CocoDetection(*files, train=True, on_bad_data="error")
    assert f"{fault}: annotation" in str(error.value)
    assert message in str(error.value)
    dataset = CocoDetection(*files, train=True)
    assert dataset.bad_data.counts == {fault: 1}
    assert len(dataset) == 3
    assert len(dataset[0][1]["boxes"]) == 0
    assert [item.category_id for item in dataset.ground_truth().objects] == [3, 7]


@pytest.mark.parametrize(
    ("changes", "fault", "message"),
    [
        ({"images_1": {"file_name": "b.png"}}, Fault.MISSING_IMAGE, r"image 10: .*images/b.png: no such file"),
        ({"images_1": {"width": 21}}, Fault.OTHER_SIZE, r"image 10: .*b.png: has 20 x 30 .* annotations say 21 x 30"),
        (
            {"images_1": {"id": 30}, "annotations_2": {"image_id": 20, "bbox": [0, 0, 1, 1]}},
            Fault.DUPLICATE_ID,
            r"image 30 \(sub/b.png\)",
        ),
    ],
)
def test_bad_images(tmp_path: Path, changes: dict[str, Any], fault: Fault, message: str) -> None:
    files = write(tmp_path, changed(**changes))
    with pytest.raises(ValueError, match=message):
        CocoDetection(*files, train=True, on_bad_data="error")
    dataset = CocoDetection(*files, train=True)
    assert dataset.bad_data.counts == {fault: 1}
    assert dataset.records.image_ids.tolist() == [30, 20]
    for truth in (dataset.ground_truth(), CocoDetection(*files, train=False).ground_truth()):
        assert [(item.id, item.file_name) for item in truth.images.values()] == [(30, "a.png"), (20, "c.png")]
        assert {item.image_id for item in truth.objects} <= {30, 20}


@pytest.mark.parametrize(
    ("orientation", "said", "remarked", "pixel"),
    [
        (1, (64, 48), False, (0, 0)),
        (3, (64, 48), True, (47, 63)),
        (6, (64, 48), False, (0, 0)),  # the annotations count the stored pixels
        (6, (48, 64), False, (0, 47)),  # or the upright ones
        (8, (48, 64), False, (63, 0)),
    ],
)
def test_exif_orientation(
    tmp_path: Path,
    orientation: int,
    said: tuple[int, int],
    remarked: bool,
    pixel: tuple[int, int],
    caplog: pytest.LogCaptureFixture,
) -> None:
    files = write(
        tmp_path, changed(images_0={"width": said[0], "height": said[1]}, annotations_1={"bbox": [0, 0, 9, 9]})
    )
    pixels = np.zeros((48, 64, 3), np.uint8)
    pixels[0, 0] = 255  # the first pixel that is stored
    exif = Image.Exif()
    exif[0x0112] = orientation
    Image.fromarray(pixels).save(files[1] / "a.png", exif=exif)
    with caplog.at_level("WARNING"):
        dataset = CocoDetection(*files, train=False, on_bad_data="error")
    assert dataset.bad_data.remarks == ({Remark.DOUBTFUL_ORIENTATION: 1} if remarked else {})
    assert ("a.png" in caplog.text) is remarked
    image, target = dataset[0]
    assert target["orig_size"].tolist() == [said[1], said[0]]
    assert image.shape == (3, said[1], said[0])
    assert np.argwhere(image[0].numpy() == 255).tolist() == [list(pixel)]


@pytest.mark.parametrize("image_id", [2**63, 2**64 - 1, -(2**63)])
def test_large_image_ids(tmp_path: Path, image_id: int) -> None:
    content = changed(
        images_0={"id": image_id}, annotations_0={"image_id": image_id}, annotations_1={"image_id": image_id}
    )
    dataset = CocoDetection(*write(tmp_path, content), train=False, on_bad_data="error")
    target = dataset[0][1]
    assert int(target["image_id"]) % 2**64 == image_id % 2**64
    truth = dataset.ground_truth()
    assert truth.images[int(target["image_id"])].id == image_id
    assert [len(objects) for objects in truth.objects_by_image().values()] == [2, 1, 0]


def test_names_that_no_file_can_have(tmp_path: Path) -> None:
    for name in ("x" * 300, "a.png/b.png", "sub"):
        dataset = CocoDetection(*write(tmp_path, changed(images_0={"file_name": name})), train=False)
        assert dataset.bad_data.counts == {Fault.MISSING_IMAGE: 1}


def test_a_bad_annotation_gives_its_id_to_no_other(tmp_path: Path) -> None:
    files = write(tmp_path, changed(annotations_0={"bbox": [0, 0, 0, 0]}, annotations_2={"id": 5}))
    dataset = CocoDetection(*files, train=True)
    assert dataset.bad_data.counts == {Fault.NO_AREA: 1, Fault.DUPLICATE_ID: 1}
    assert [item.crowd for item in dataset.ground_truth().objects] == [True]


def test_the_first_of_two_annotations_with_one_id_stays(tmp_path: Path) -> None:
    files = write(tmp_path, changed(annotations_2={"id": 5}))
    with pytest.raises(ValueError, match=r"id that occurs twice: annotation 5 of image 10 \(sub/b.png\)"):
        CocoDetection(*files, train=True, on_bad_data="error")
    dataset = CocoDetection(*files, train=True)
    assert [len(record.objects) for record in dataset.records] == [2, 0, 0]
    assert [item.image_id for item in dataset.ground_truth().objects] == [30, 30]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", r"not json"),
        ('{"images": [', r"not json: .*line 1"),
        ("[]", r"COCO instances must be an object, got a list; it may be a file of results"),
        ("3", r"COCO instances must be an object, got int"),
        ("{}", r"not COCO instances: no images, annotations, categories; its keys are none"),
        ({"images": [], "annotations": {}, "labels": []}, r"no categories; its keys are images, annotations, labels"),
        (CONTENT | {"annotations": {}}, r"'annotations' must be a list, got an object"),
        (CONTENT | {"categories": []}, r"'categories' is empty"),
        (CONTENT | {"images": []}, r"'images' is empty"),
    ],
)  # fmt: skip
def test_a_structure_that_is_not_coco_is_always_an_error(tmp_path: Path, content: Any, message: str) -> None:
    files = write(tmp_path, content)
    with pytest.raises(ValueError, match=message) as error:
        CocoDetection(*files, train=True, on_bad_data="skip")
    assert str(files[0]) in str(error.value)


def test_missing_files(tmp_path: Path) -> None:
    file, images = write(tmp_path)
    with pytest.raises(FileNotFoundError, match=r"nowhere is not a folder; the images of .*instances.json"):
        CocoDetection(file, tmp_path / "nowhere", train=True)
    with pytest.raises(FileNotFoundError, match=r"none.json"):
        CocoDetection(tmp_path / "none.json", images, train=True)


# Where the files of a split lie


@pytest.mark.parametrize(
    ("split", "name", "images"),
    [
        ("train", "train", "train"),
        ("train", "train", "images/train"),
        ("train", "train2017", "train2017"),
        ("val", "val2014", "val2014"),
        ("val", "val2017", "images/val2017"),
        ("val2017", "val2017", "val2017"),
        ("val", "val2017", "val"),
    ],
)
def test_layouts(tmp_path: Path, split: str, name: str, images: str) -> None:
    (tmp_path / images).mkdir(parents=True)
    (tmp_path / "annotations").mkdir()
    (tmp_path / f"annotations/instances_{name}.json").touch()
    assert coco_split(tmp_path, split) == (tmp_path / f"annotations/instances_{name}.json", tmp_path / images)


def test_years_are_not_mixed(tmp_path: Path) -> None:
    (tmp_path / "annotations").mkdir()
    for year in (2014, 2017):
        (tmp_path / f"train{year}").mkdir()
        (tmp_path / f"annotations/instances_train{year}.json").touch()
    assert coco_split(tmp_path, "train").images.name == "train2017"
    assert coco_split(tmp_path, "train2014").images.name == "train2014"
    (tmp_path / "train2017").rmdir()
    with pytest.raises(FileNotFoundError, match=r"no images for .*train2017.json; looked for .*images/train2017, "):
        coco_split(tmp_path, "train")


def test_what_was_looked_for_is_said(tmp_path: Path) -> None:
    with pytest.raises(
        FileNotFoundError, match=r"split 'val'; looked for .*_val.json, .*_val2017.json, .*_val2014.json"
    ):
        coco_split(tmp_path, "val")


# Real and generated data


def test_shapes(small_shapes: Path) -> None:
    for split, count in (("train", 8), ("val", 4)):
        dataset = CocoDetection(*coco_split(small_shapes, split), train=True, on_bad_data="error")
        assert len(dataset) == count
        assert dataset.class_names == ("circle", "triangle", "square", "star", "cross")
        for record, (image, target) in zip(dataset.records, dataset, strict=True):
            assert image.shape == (3, record.height, record.width)
            assert len(target["boxes"]) >= 1


@pytest.mark.parametrize(("split", "images", "objects", "crowds"), [("train", 92, 829, 9), ("val", 66, 560, 8)])
def test_coco(shared_coco_cc: Path, split: str, images: int, objects: int, crowds: int) -> None:
    dataset = CocoDetection(*coco_split(shared_coco_cc, split), train=True, on_bad_data="error")
    assert len(dataset) == images
    assert len(dataset.class_names) == 80
    assert dataset.category_ids[-1] == 90
    assert len(dataset.records.objects) == objects
    assert dataset.records.objects["iscrowd"].sum() == crowds
    assert sum(len(target["boxes"]) for _, target in dataset) == objects - crowds


def test_real_ground_truth_gives_the_files_own_numbers(
    shared_coco_cc: Path, coco_stats: Callable[[dict[str, Any], list[dict[str, Any]]], list[float]]
) -> None:
    """The same results, scored on the file and on what the data set says, to the last digit."""
    files = coco_split(shared_coco_cc, "val")
    dataset = CocoDetection(*files, train=False)
    draw = np.random.default_rng(0)
    results = [
        {
            "image_id": record.image_id,
            "category_id": dataset.category_ids[label - 1],
            "bbox": [float(x1 + shift[0]), float(y1 + shift[1]), float(x2 - x1 + shift[2]), float(y2 - y1 + shift[3])],
            "score": float(draw.random()),
        }
        for record in dataset.records
        for (x1, y1, x2, y2), label in zip(record.objects["box"], record.objects["label"], strict=True)
        for shift in draw.normal(0, 4, (2, 4))
    ]
    stats = coco_stats(json.loads(files.annotations.read_text()), results)
    assert coco_stats(dataset.ground_truth().as_coco(), results) == stats
    assert 0.1 < stats[0] < 0.9


@pytest.mark.parametrize("first_id", [0, 5])
def test_perfect_results_score_1(
    tmp_path: Path, first_id: int, coco_stats: Callable[[dict[str, Any], list[dict[str, Any]]], list[float]]
) -> None:
    dataset = CocoDetection(*write(tmp_path, changed(annotations_0={"id": first_id})), train=False)
    truth = dataset.ground_truth().as_coco()
    keys = ("image_id", "category_id", "bbox")
    results = [
        {key: item[key] for key in keys} | {"score": 0.5} for item in truth["annotations"] if not item["iscrowd"]
    ]
    assert coco_stats(truth, results)[0] == pytest.approx(1)


def test_images_are_read_as_they_are(shared_coco_cc: Path) -> None:
    dataset = CocoDetection(*coco_split(shared_coco_cc, "val"), train=False)
    with Image.open(dataset.records[3].file) as picture:
        assert torch.equal(dataset[3][0], torch.from_numpy(np.array(picture.convert("RGB"))).permute(2, 0, 1))
