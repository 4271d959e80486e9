"""What folders are recognised as: near misses, doubts, and what systems leave behind."""

import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path

import layouts
import pytest
from layouts import SPLIT, WHOLE, picture_file, write_json, write_text
from PIL import Image

from mvdet.data.recognition import FINDERS, recognise


def images(folder: Path, count: int = 2, suffix: str = ".jpg") -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for number in range(count):
        Image.new("RGB", (8, 6)).save(folder / f"{number}{suffix}")


def masks(folder: Path, count: int = 2, ending: str = ".png") -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for number in range(count):
        Image.new("L", (8, 6)).save(folder / f"{number}{ending}")


@pytest.mark.parametrize("layout", [*SPLIT, *WHOLE])
def test_hidden_files_and_wrapping_folders_change_nothing(layout: str, tmp_path: Path) -> None:
    data_format, write = (SPLIT | WHOLE)[layout]
    inner = tmp_path / "archive" / "my data"
    write(inner)
    plain = recognise(inner, "detection")
    for folder in [path for path in inner.rglob("*") if path.is_dir()] + [inner]:
        (folder / ".ipynb_checkpoints").mkdir()
        for file in [path for path in folder.iterdir() if path.is_file()]:
            shutil.copy(file, folder / ".ipynb_checkpoints" / file.name)
            (folder / f"._{file.name}").write_bytes(b"\0\5\26\7")
        (folder / ".DS_Store").write_bytes(b"\0\0\0\1Bud1")
    shutil.copytree(inner, tmp_path / "__MACOSX" / "my data")
    write_text(tmp_path / "README.md", "about")
    for root in (inner, tmp_path / "archive", tmp_path):
        found = recognise(root, "detection")
        assert (found.data_format, found.splits, found.train, found.val) == (
            data_format,
            plain.splits,
            plain.train,
            plain.val,
        )


def test_two_formats_of_the_same_images_are_said(tmp_path: Path) -> None:
    layouts.yolo(tmp_path)
    for split in ("train", "val"):
        write_json(tmp_path / f"annotations/{split}.json", layouts.coco(layouts.of_split(split)))
    found = recognise(tmp_path, "detection")
    assert (found.data_format, found.also) == ("coco", ("yolo",))
    assert recognise(tmp_path, "detection", "yolo").data_format == "yolo"


def test_two_formats_of_other_images_are_a_question(tmp_path: Path) -> None:
    layouts.voc_lists(tmp_path)
    layouts.coco_roboflow(tmp_path)
    with pytest.raises(ValueError, match=r"both coco and voc fit, .*; say which with --data-format"):
        recognise(tmp_path, "detection")
    assert recognise(tmp_path, "detection", "voc").data_format == "voc"


def test_the_task_decides_between_boxes_and_masks(tmp_path: Path) -> None:
    layouts.voc_lists(tmp_path)
    masks(tmp_path / "SegmentationClass")
    write_text(tmp_path / "ImageSets/Segmentation/train.txt", "0\n")
    write_text(tmp_path / "classes.txt", "background\ncat\n")
    boxes, areas = recognise(tmp_path, "detection"), recognise(tmp_path, "segmentation")
    assert (boxes.task, boxes.data_format, boxes.train, boxes.val) == ("detection", "voc", ("train",), ("val",))
    assert (areas.task, areas.data_format, areas.val) == ("segmentation", "voc", ())
    assert areas.class_names == ("background", "cat")
    assert (recognise(tmp_path).task, boxes.class_names) == ("detection", None)  # the background is no object


def split_folders(root: Path) -> None:
    for split in ("train", "valid"):
        images(root / split / "images")
        masks(root / split / "masks")


def folders_of_splits(root: Path) -> None:
    for split in ("train", "valid"):
        images(root / "img_dir" / split)
        masks(root / "ann_dir" / split)


def side_by_side(root: Path) -> None:
    for split in ("train", "valid"):
        images(root / split)
        masks(root / split, ending="_mask.png")
    write_text(root / "train/_classes.csv", "Pixel Value, Class\n0, background\n1, cat\n")


def no_splits(root: Path) -> None:
    images(root / "images")
    masks(root / "labels", ending="_label.png")


@pytest.mark.parametrize("write", [split_folders, folders_of_splits, side_by_side, no_splits])
def test_masks(write: Callable[[Path], None], tmp_path: Path) -> None:
    write(tmp_path)
    if write is not side_by_side:
        write_text(tmp_path / "classes.txt", "background\ncat\n")
    found = recognise(tmp_path, "segmentation")
    assert (found.data_format, found.class_names) == ("folder", ("background", "cat"))
    assert (found.train, found.val) == ((("all",), ()) if write is no_splits else (("train",), ("valid",)))


@pytest.mark.parametrize(
    ("folders", "train", "val"),
    [
        (("train/cat", "train/dog", "val/cat", "val/dog"), ("train",), ("val",)),
        (("train/cat", "train/dog", "valid/cat", "valid/dog", "test/cat", "test/dog"), ("train",), ("valid",)),
        (("training/cat", "training/dog", "test"), ("training",), ()),
        (("cat", "dog"), ("all",), ()),
        (("cat/a/b", "dog"), ("all",), ()),
        (("train", "bus", "car"), ("all",), ()),  # a class is called like a split
        (("n01440764", "n01443537"), ("all",), ()),
    ],
)
def test_classes(folders: tuple[str, ...], train: tuple[str, ...], val: tuple[str, ...], tmp_path: Path) -> None:
    for folder in folders:
        images(tmp_path / folder)
    found = recognise(tmp_path, "classification")
    assert (found.data_format, found.train, found.val, found.published) == ("folder", train, val, False)


def test_vocs_own_folders(tmp_path: Path) -> None:
    for year, names in (("2007", ("000001", "000002")), ("2012", ("2008_000001",))):
        folder = tmp_path / "VOCdevkit" / f"VOC{year}"
        images(folder / "JPEGImages", 0)
        for name in names:
            picture_file(folder / "JPEGImages", "one").rename(folder / f"JPEGImages/{name}.jpg")
            write_text(folder / f"Annotations/{name}.xml", layouts.xml("one"))
        for split in ("train", "val", "trainval", *(["test"] if year == "2007" else [])):
            write_text(folder / f"ImageSets/Main/{split}.txt", "\n".join(names))
            write_text(folder / f"ImageSets/Main/cat_{split}.txt", "".join(f"{name}  1\n" for name in names))
    both = recognise(tmp_path, "detection")
    assert (both.train, both.val) == (("VOC2007:trainval", "VOC2012:trainval"), ("VOC2007:test",))
    assert (len(both.class_names or ()), both.published) == (
        20,
        False,
    )  # of a sample, the published recipe is not taken
    assert not any("cat" in name for name in both.splits)
    alone = recognise(tmp_path / "VOCdevkit/VOC2012", "detection")
    assert (alone.train, alone.val) == (("VOC2012:train",), ("VOC2012:val",))
    assert alone.places(["trainval"]) == alone.places(["VOC2012:trainval"])


@pytest.mark.parametrize(
    ("files", "task", "message"),
    [
        ({}, "detection", "no data set found, it holds nothing; understood are for detection: COCO"),
        ({"a/x.jpg": "", "b/y.txt": "note"}, "detection", r"no data set found, it holds the folders a, b; understood"),
        ({"x.jpg": "", "y.png": ""}, "classification", r"it holds 1 x .jpg, 1 x .png; .* a folder of images for each"),
        ({"cat/x.jpg": ""}, "classification", "one class folder only, cat; .* two classes"),
        ({"images/x.jpg": ""}, "segmentation", r"no data set found, it holds the folders images"),
        ({"images/x.jpg": "", "masks/y.png": ""}, "segmentation", r"no data set found"),
        ({"data.yaml": "train: a\nval: b\nnames: [x]"}, "detection", r"data.yaml: train: a is not there; looked in"),
        ({"data.yaml": "train: [1]\nnames: [x]"}, "detection", r"data.yaml: train must be a path .*, got \[1\]"),
        ({"data.yaml": "train: .\nnames: [x, x]"}, "detection", "data.yaml: names holds a name twice: x, x"),
        ({"data.yaml": "train: .\nnc: 3\nnames: [x]"}, "detection", "data.yaml: nc is 3, but names has 1: x"),
        ({"data.yaml": "train: .\nnames: {1: x}"}, "detection", "class numbers of names must be 0 to 0, got 1"),
        ({"data.yaml": "train: .\nnames: {a: x}"}, "detection", "the keys of names must be class numbers, got a"),
        ({"data.yaml": "train: {"}, "detection", "data.yaml: not YAML: "),
        ({"data.yaml": "train: .\nnc: 1\nkpt_shape: [17, 3]"}, "detection", r"data.yaml: a data set of key points"),
        ({"a.yaml": "train: .\nnc: 1", "b.yaml": "train: .\nnc: 1"}, "detection", "which of a.yaml, b.yaml?"),
        (
            {"a.json": json.dumps(layouts.coco(["one"])), "image.txt": ""},
            "detection",
            r"a.json: no images for it in .*, as one.jpg",
        ),
        (
            {"train.json": json.dumps(layouts.coco(["one"])), "annotations/instances_train.json": "{}" * 9},
            "detection",
            "train.json: no images",
        ),
    ],
)
def test_near_misses_are_one_line(files: dict[str, str], task: str, message: str, tmp_path: Path) -> None:
    for name, text in files.items():
        write_text(tmp_path / name, text)
        if Path(name).suffix in (".jpg", ".png"):
            Image.new("RGB", (8, 6)).save(tmp_path / name)
    with pytest.raises((FileNotFoundError, ValueError), match=message) as error:
        recognise(tmp_path, task)
    assert "\n" not in str(error.value)
    assert str(tmp_path) in str(error.value)


def test_no_folder_at_all(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=re.escape(f"{tmp_path}/none: no such folder")):
        recognise(tmp_path / "none")
    write_text(tmp_path / "a.zip", "")
    with pytest.raises(FileNotFoundError, match=r"a.zip: a data set is a folder, or the YAML file"):
        recognise(tmp_path / "a.zip", "detection")


def test_several_data_sets_in_a_folder_are_none(tmp_path: Path) -> None:
    layouts.voc_lists(tmp_path / "one")
    layouts.coco_own(tmp_path / "two")
    for task in FINDERS:
        with pytest.raises(FileNotFoundError, match="it holds the folders one, two"):
            recognise(tmp_path, task)


def test_two_files_of_a_split_must_be_the_same(tmp_path: Path) -> None:
    layouts.coco_own(tmp_path)
    file = tmp_path / "annotations/instances_train2017.json"
    shutil.copy(file, tmp_path / "annotations/train2017.json")
    assert recognise(tmp_path, "detection").train == ("train2017",)
    write_json(tmp_path / "annotations/train2017.json", layouts.coco(["five"]))
    with pytest.raises(ValueError, match=r"both called train2017, and differ; move one of them away"):
        recognise(tmp_path, "detection")


def test_a_split_that_only_the_user_knows(tmp_path: Path) -> None:
    for part in ("first", "second"):
        images(tmp_path / "images" / part)
        masks(tmp_path / "masks" / part)
    found = recognise(tmp_path, "segmentation")
    (place,) = found.places(["second"])
    assert (place.images, place.annotations) == (tmp_path / "images/second", tmp_path / "masks/second")
    with pytest.raises(FileNotFoundError, match=f"{tmp_path}: no split 'third'; there are all"):
        found.places(["third"])


def test_a_folder_to_evaluate_on(tmp_path: Path) -> None:
    for stem in ("one", "two"):
        picture_file(tmp_path / "test", stem)
    write_json(tmp_path / "test/_annotations.coco.json", layouts.coco(["one", "two"]))
    found = recognise(tmp_path, "detection")
    assert (found.train, found.val) == ((), ("test",))
