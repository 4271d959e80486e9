"""What a recipe's folder gives: the splits, the share that is held out, and what is said of it."""

import logging
from pathlib import Path
from typing import Any

import layouts
import pytest
from layouts import PICTURES, picture_file, write_json, write_text
from PIL import Image

from mvdet.data.io.faults import Fault
from mvdet.tasks import CLASSIFICATION, DETECTION, SEGMENTATION
from mvdet.training.classification import ClassificationRecipe, classification_dataset
from mvdet.training.detection import SSDLiteRecipe, detection_dataset
from mvdet.training.opening import described, held_out_of, starting_point, training_and_validation
from mvdet.training.recipe import parse_arguments
from mvdet.training.segmentation import SegmentationRecipe, segmentation_dataset


def names(dataset: Any) -> set[str]:
    return {Path(record.file).name for record in dataset.records}


def sets(root: Path, **changes: Any) -> tuple[set[str], set[str]]:
    recipe = SSDLiteRecipe(**{"data_root": root, "size": (64, 64)} | changes)
    train, val = (names(detection_dataset(recipe, train=train)) for train in (True, False))
    return train, val


def test_a_share_is_held_out_by_seed(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    layouts.voc_without_lists(tmp_path / "a")
    with caplog.at_level(logging.INFO):
        train, val = sets(tmp_path / "a", val_share=0.3)
    assert not train & val
    assert train | val == {f"{stem}.jpg" for stem in PICTURES}
    assert len(val) == 2
    assert "no validation split: 2 of 6 training images are held out (val_share 0.3, seed 0)" in caplog.text
    assert sets(tmp_path / "a", val_share=0.3) == (train, val)
    others = {frozenset(sets(tmp_path / "a", val_share=0.3, seed=seed)[1]) for seed in range(1, 6)}
    assert others - {frozenset(val)}
    (tmp_path / "a").rename(tmp_path / "b")  # the same wherever the folder lies
    assert sets(tmp_path / "b", val_share=0.3) == (train, val)


def test_what_is_bad_in_a_folder_that_is_shared_out_is_said_once(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    layouts.yolo_with_class_file(tmp_path)
    write_text(tmp_path / "labels/one.txt", "0 0.5\n")
    recipe = SSDLiteRecipe(data_root=tmp_path, val_share=0.3)
    train, val = training_and_validation(detection_dataset, recipe)
    assert len([record for record in caplog.records if "left out 1 bad items" in record.message]) == 1
    assert (train.bad_data.counts, val.bad_data.counts) == ({Fault.BAD_ROW: 1}, {})
    assert (train.part, val.part) == (4 / 6, 2 / 6)
    caplog.clear()
    layouts.yolo(tmp_path / "split")
    write_text(tmp_path / "split/labels/val/five.txt", "0 0.5\n")
    train, val = training_and_validation(detection_dataset, SSDLiteRecipe(data_root=tmp_path / "split"))
    assert "left out 1 bad items" in caplog.text
    assert (train.bad_data.counts, val.bad_data.counts) == ({}, {Fault.BAD_ROW: 1})


@pytest.mark.parametrize(("share", "count"), [(0.001, 1), (0.1, 1), (0.5, 5), (0.99, 9)])
def test_how_many_are_held_out(share: float, count: int) -> None:
    files = [f"/data/{number}.jpg" for number in range(10)]
    assert len(held_out_of(files, Path("/data"), share, 0)) == count


def test_one_image_cannot_be_shared_out() -> None:
    with pytest.raises(ValueError, match="/data: no validation split, and 1 image is too few to hold one out"):
        held_out_of(["/data/a.jpg"], Path("/data"), 0.1, 0)


def test_ground_truth_is_that_of_the_images_held_out(tmp_path: Path) -> None:
    layouts.coco_cvat(tmp_path)
    val = detection_dataset(SSDLiteRecipe(data_root=tmp_path, val_share=0.4), train=False)
    truth = val.ground_truth()
    assert sorted(truth.images) == sorted(val.records.image_ids.tolist())
    assert len(truth.objects) == len(val.records.objects)


@pytest.mark.parametrize(
    ("changes", "train", "val"),
    [
        ({}, "train", "val"),
        ({"train_split": ("val",)}, "val", "val"),
        ({"val_split": ("train",)}, "train", "train"),
        ({"train_split": ("train", "val"), "data_format": "voc"}, "train val", "val"),
    ],
)
def test_named_splits(changes: dict[str, Any], train: str, val: str, tmp_path: Path) -> None:
    layouts.voc_lists(tmp_path)
    wanted = [{f"{stem}.jpg" for split in text.split() for stem in layouts.of_split(split)} for text in (train, val)]
    assert list(sets(tmp_path, **changes)) == wanted


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"train_split": ("trian",)}, "no split 'trian'; there are train, val"),
        ({"data_format": "yolo"}, "no yolo data set found, it holds the folders Annotations, ImageSets, JPEGImages"),
        (
            {"class_names": ("ca", "dg")},
            r"no object is of the classes ca, dg; the annotations name dog \(4\), cat \(2\)",
        ),
    ],
)
def test_what_does_not_fit(changes: dict[str, Any], message: str, tmp_path: Path) -> None:
    layouts.voc_lists(tmp_path)
    with pytest.raises((ValueError, FileNotFoundError), match=message):
        sets(tmp_path, **changes)


def test_no_share_and_no_training_split(tmp_path: Path) -> None:
    layouts.coco_cvat(tmp_path)
    with pytest.raises(ValueError, match="no validation split, and val_share is 0; there are default"):
        sets(tmp_path, val_share=0)
    picture_file(tmp_path / "test/test", "one")
    write_json(tmp_path / "test/test/_annotations.coco.json", layouts.coco(["one"]))
    with pytest.raises(ValueError, match="no split is called train, there are test; name one as train_split"):
        sets(tmp_path / "test")


@pytest.mark.parametrize(
    ("layout", "given", "message"),
    [
        ("coco", ("cat", "bird"), r"its classes are cat, dog, not the class_names that were given, cat, bird"),
        ("yolo", ("cat",), r"has 2 classes, cat, dog; class_names names 1, cat"),
    ],
)
def test_class_names_of_formats_that_have_their_own(
    layout: str, given: tuple[str, ...], message: str, tmp_path: Path
) -> None:
    {"coco": layouts.coco_own, "yolo": layouts.yolo}[layout](tmp_path)
    with pytest.raises(ValueError, match=message):
        sets(tmp_path, class_names=given)


def test_a_flag_takes_several_class_names(tmp_path: Path) -> None:
    def parsed(*argv: str) -> SSDLiteRecipe:
        return parse_arguments(SSDLiteRecipe, argv, DETECTION.recipe_files(), description="")

    assert parsed("--class-names", "a", "b c", "--epochs", "2").class_names == ("a", "b c")
    assert parsed("--class-names", "none").class_names is None


def test_what_a_run_starts_from(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    layouts.yolo(tmp_path / "a")
    recipe = parse_arguments(
        SSDLiteRecipe,
        ["--data-root", str(tmp_path / "a"), "--epochs", "3"],
        DETECTION.recipe_files(),
        description="",
        recognise=lambda root: starting_point(DETECTION, root),
    )
    assert (recipe.data_format, recipe.epochs, recipe.batch_size) == ("yolo", 3, 16)
    with caplog.at_level(logging.INFO):
        starting_point(DETECTION, tmp_path / "a")
    assert "recognised as yolo; settings of ssdlite_folder.yaml, then the flags" in caplog.text
    assert described(recipe, DETECTION) == f"{tmp_path}/a (yolo)"
    assert described(SSDLiteRecipe(data_root=tmp_path / "a"), DETECTION) == f"{tmp_path}/a (yolo)"
    assert described(SSDLiteRecipe(), DETECTION) == "shapes"


def test_classes_and_masks_are_shared_out_too(tmp_path: Path) -> None:
    for name in ("cat", "dog"):
        for number in range(10):
            (tmp_path / "classes" / name).mkdir(parents=True, exist_ok=True)
            Image.new("RGB", (20, 20)).save(tmp_path / f"classes/{name}/{name}{number}.jpg")
    recipe = ClassificationRecipe(data_root=tmp_path / "classes", size=(32, 32))
    train, val = (classification_dataset(recipe, train=train) for train in (True, False))
    assert starting_point(CLASSIFICATION, tmp_path / "classes")[0] == "folder"
    assert (len(train), len(val), train.class_names) == (18, 2, ("cat", "dog"))
    assert not names(train) & names(val)
    assert val[0][0].shape == (3, 32, 32)
    for number in range(10):
        for folder, suffix in (("images", "jpg"), ("masks", "png")):
            (tmp_path / "areas" / folder).mkdir(parents=True, exist_ok=True)
            Image.new("L", (20, 20)).save(tmp_path / f"areas/{folder}/{number}.{suffix}")
    masks = SegmentationRecipe(data_root=tmp_path / "areas", size=(32, 32))
    with pytest.raises(ValueError, match=r"nothing says what the class numbers of the masks mean; write classes.txt"):
        segmentation_dataset(masks, train=True)
    write_text(tmp_path / "areas/classes.txt", "background\ncell\n")
    first, second = (segmentation_dataset(masks, train=train) for train in (True, False))
    assert (len(first), len(second), first.class_names) == (9, 1, ("background", "cell"))
    assert starting_point(SEGMENTATION, tmp_path / "areas")[1].name == "deeplabv3_folder.yaml"
    assert not names(first) & names(second)
