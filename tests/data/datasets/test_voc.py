import logging
import re
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from mvdet.class_names import VOC_CLASSES
from mvdet.data.datasets.voc import VocDetection
from mvdet.data.io.faults import Fault, Remark
from mvdet.data.transforms.detection import train_transform

Item = tuple[str, tuple[float, float, float, float], int]

PLAIN: dict[str, list[Item]] = {
    "one": [("dog", (1, 1, 64, 48), 0), ("cat", (10, 20, 19, 29), 1)],
    "two": [],
    "three": [("cat", (-2, 30, 10, 60), 0)],  # leaves the image
}


def write(folder: Path, content: dict[str, list[Item]] = PLAIN, split: str = "train") -> Path:
    """A VOC folder; images are 64 x 48."""
    for name in ("JPEGImages", "Annotations", "ImageSets/Main"):
        (folder / name).mkdir(parents=True, exist_ok=True)
    for name, objects in content.items():
        for kind in ("JPEGImages", "Annotations"):
            (folder / kind / name).parent.mkdir(exist_ok=True)
        Image.new("RGB", (64, 48)).save(folder / f"JPEGImages/{name}.jpg")
        xml = "".join(
            f"<object><name>{label}</name><difficult>{difficult}</difficult><bndbox>"
            + "".join(
                f"<{key}>{value}</{key}>" for key, value in zip(("xmin", "ymin", "xmax", "ymax"), box, strict=True)
            )
            + "</bndbox></object>"
            for label, box, difficult in objects
        )
        size = "<size><width>64</width><height>48</height></size>"
        (folder / f"Annotations/{name}.xml").write_text(f"<annotation>{size}{xml}</annotation>")
    (folder / f"ImageSets/Main/{split}.txt").write_text("".join(f"{name}\n" for name in content))
    return folder


def load(root: Path, split: str | None = "train", **options: Any) -> VocDetection:
    return VocDetection(root, split, **{"train": False, "class_names": ("cat", "dog"), **options})


def test_boxes_labels_and_numbers(tmp_path: Path) -> None:
    dataset = load(write(tmp_path), on_bad_data="error")
    assert dataset.class_names == ("cat", "dog")
    assert dataset.category_ids == (1, 2)
    targets = [target for _, target in dataset]
    assert [target["image_id"].item() for target in targets] == [1, 2, 3]
    assert targets[0]["boxes"].tolist() == [[0, 0, 64, 48], [9, 19, 19, 29]]
    assert targets[0]["labels"].tolist() == [2, 1]
    assert targets[0]["iscrowd"].tolist() == [0, 1]
    assert targets[0]["area"].tolist() == [64 * 48, 100]
    assert targets[1]["boxes"].shape == (0, 4)
    assert targets[2]["boxes"].tolist() == [[0, 29, 10, 48]]  # clipped


def test_difficult_objects(tmp_path: Path) -> None:
    dataset = load(write(tmp_path), train=True)
    assert dataset[0][1]["labels"].tolist() == [2]
    flags = [(item.crowd, item.difficult) for item in dataset.ground_truth().objects]
    assert flags == [(False, False), (True, True), (False, False)]


def test_the_20_classes_are_the_default(tmp_path: Path) -> None:
    dataset = VocDetection(write(tmp_path), "train", train=True, transform=train_transform)
    assert dataset.class_names == VOC_CLASSES
    assert (len(set(VOC_CLASSES)), list(VOC_CLASSES)) == (20, sorted(VOC_CLASSES))
    assert dataset.records[0].objects["label"].tolist() == [12, 8]
    assert dataset[0][0].shape == (3, 320, 320)


def test_classes_are_those_of_all_annotations(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    write(tmp_path)
    write(tmp_path, {"four": [("ant", (1, 1, 9, 9), 0)]}, split="val")
    with caplog.at_level(logging.INFO):
        names = [load(tmp_path, split, class_names=None).class_names for split in ("train", "val")]
    assert names == [("ant", "cat", "dog")] * 2
    assert "took the classes from 4 annotation files: ant, cat, dog" in caplog.text


@pytest.mark.parametrize("devkit", ["", "VOCdevkit"])
def test_lists_of_several_years_are_one_set(tmp_path: Path, devkit: str) -> None:
    write(tmp_path / devkit / "VOC2007", {"000001": PLAIN["one"]}, split="trainval")
    write(tmp_path / devkit / "VOC2012", {"2008_000001": PLAIN["three"]}, split="trainval")
    dataset = load(tmp_path, None, image_sets=[("VOC2007", "trainval"), ("VOC2012", "trainval")])
    assert [Path(record.file).name for record in dataset.records] == ["000001.jpg", "2008_000001.jpg"]
    assert dataset.records.image_ids.tolist() == [1, 2]


@pytest.mark.parametrize(
    ("item", "fault"),
    [
        (("dog", (5, 5, 5, 9), 0), Fault.NO_AREA),
        (("dog", (5, 9, 9, 9), 0), Fault.NO_AREA),
        (("dog", (9, 5, 5, 9), 0), Fault.NO_AREA),
        (("dog", (65, 5, 70, 9), 0), Fault.OUTSIDE),
        (("dog", (-9, 5, 0, 9), 0), Fault.OUTSIDE),
        (("Dog", (1, 1, 9, 9), 0), Fault.UNKNOWN_CATEGORY),
    ],
)
def test_bad_objects(tmp_path: Path, item: Item, fault: Fault, caplog: pytest.LogCaptureFixture) -> None:
    write(tmp_path, PLAIN | {"two": [("cat", (1, 1, 9, 9), 0), item]})
    wanted = f"{fault}: {tmp_path}/Annotations/two.xml: object 2 ({item[0]}), box {', '.join(map(str, item[1]))}"
    with pytest.raises(ValueError, match=re.escape(wanted)) as error:
        load(tmp_path, on_bad_data="error")
    assert ("allowed are cat, dog" in str(error.value)) == (fault is Fault.UNKNOWN_CATEGORY)
    with caplog.at_level(logging.WARNING):
        dataset = load(tmp_path)
    assert wanted in caplog.text
    assert dataset.bad_data.counts == {fault: 1}
    assert [len(record.objects) for record in dataset.records] == [2, 1, 1]


@pytest.mark.parametrize(
    ("folder", "suffix", "fault"),
    [("JPEGImages", "jpg", Fault.MISSING_IMAGE), ("Annotations", "xml", Fault.MISSING_ANNOTATION)],
)
def test_missing_files(tmp_path: Path, folder: str, suffix: str, fault: Fault) -> None:
    file = write(tmp_path) / folder / f"two.{suffix}"
    file.unlink()
    with pytest.raises(ValueError, match=rf"{fault}: image 2: {re.escape(str(file))}: no such file"):
        load(tmp_path, on_bad_data="error")
    dataset = load(tmp_path)
    assert dataset.records.image_ids.tolist() == [1, 3]
    assert dataset.bad_data.counts == {fault: 1}


def test_images_of_another_size_or_cut_short(tmp_path: Path) -> None:
    write(tmp_path)
    Image.new("RGB", (48, 64)).save(tmp_path / "JPEGImages/one.jpg")
    cut = tmp_path / "JPEGImages/two.jpg"
    cut.write_bytes(cut.read_bytes()[:-9])
    dataset = load(tmp_path)
    assert dataset.bad_data.counts == {Fault.OTHER_SIZE: 1, Fault.UNREADABLE_IMAGE: 1}
    assert dataset.records.image_ids.tolist() == [3]


@pytest.mark.parametrize(
    ("xml", "fault", "left"),
    [
        ("<annotation>", Fault.UNREADABLE_ANNOTATION, ["one", "three"]),
        ("", Fault.UNREADABLE_ANNOTATION, ["one", "three"]),
        ("<html/>", Fault.UNREADABLE_ANNOTATION, ["one", "three"]),
        ("<annotation><object><name>cat</name></object></annotation>", Fault.NOT_A_BOX, ["one", "two", "three"]),
        ("<annotation><object/></annotation>", Fault.NO_NAME, ["one", "two", "three"]),
    ],
)
@pytest.mark.parametrize("names", [("cat", "dog"), None])
def test_an_annotation_that_cannot_be_used_is_one_bad_item(
    tmp_path: Path, xml: str, fault: Fault, left: list[str], names: tuple[str, ...] | None
) -> None:
    file = write(tmp_path) / "Annotations/two.xml"
    file.write_text(xml)
    with pytest.raises(ValueError, match=rf"{fault}: .*{re.escape(str(file))}: .*\n.*--on-bad-data skip"):
        load(tmp_path, on_bad_data="error", class_names=names)
    dataset = load(tmp_path, class_names=names)
    assert dataset.bad_data.counts == {fault: 1}
    assert [Path(record.file).stem for record in dataset.records] == left


@pytest.mark.parametrize("policy", ["error", "skip"])
def test_what_is_read_with_a_remark(tmp_path: Path, policy: str, caplog: pytest.LogCaptureFixture) -> None:
    box = "<bndbox><xmin>1</xmin><ymin>1</ymin><xmax>9</xmax><ymax>9</ymax></bndbox>"
    thing = (
        f"<object><name>cat</name><truncated>Unspecified</truncated><difficult>Unspecified</difficult>{box}</object>"
    )
    (write(tmp_path) / "Annotations/two.xml").write_text(
        f"<annotation><size><width>0</width><height>0</height></size>{thing}</annotation>"
    )
    with caplog.at_level(logging.WARNING):
        dataset = load(tmp_path, on_bad_data=policy)
    assert dataset.bad_data.remarks == {Remark.UNSAID_SIZE: 1, Remark.UNKNOWN_DIFFICULT: 1}
    assert (dataset.records[1].width, dataset.records[1].height) == (64, 48)
    assert dataset[1][1]["boxes"].tolist() == [[0, 0, 9, 9]]
    assert f"1 x {Remark.UNSAID_SIZE}: {tmp_path}/Annotations/two.xml: 64 x 48" in caplog.text
    (tmp_path / "JPEGImages/two.jpg").write_bytes(b"no picture")
    assert load(tmp_path).bad_data.counts == {Fault.UNREADABLE_IMAGE: 1}


def test_lists_as_people_have_them(tmp_path: Path) -> None:
    write(tmp_path, {"img 1": PLAIN["one"], "sub/b": PLAIN["three"]} | PLAIN)
    lines = ["img 1  -1", "sub\\b.jpg", "one", "JPEGImages/two.jpg", "one", "none 1", "x" * 300]
    (tmp_path / "ImageSets/Main/train.txt").write_bytes("\r\n".join(lines).encode("utf-8-sig"))
    dataset = load(tmp_path)
    folder = tmp_path / "JPEGImages"
    files = [Path(record.file).relative_to(folder).as_posix() for record in dataset.records]
    assert files == ["img 1.jpg", "sub/b.jpg", "one.jpg", "two.jpg"]
    assert dataset.bad_data.counts == {Fault.DUPLICATE_ID: 1, Fault.MISSING_ANNOTATION: 2}


def test_hidden_files_are_not_there(tmp_path: Path) -> None:
    write(tmp_path)
    for folder in ("JPEGImages", "Annotations"):
        for name in (f"{folder}/.ipynb_checkpoints", f"{folder}/__MACOSX"):
            (tmp_path / name).mkdir()
            for file in ("one.jpg", "one.xml", "._two.xml", "four.xml"):
                (tmp_path / name / file).write_text("<annotation><object><name>ghost</name></object></annotation>")
    dataset = load(tmp_path, class_names=None, on_bad_data="error")
    assert dataset.class_names == ("cat", "dog")


def test_other_image_formats(tmp_path: Path) -> None:
    write(tmp_path)
    (tmp_path / "JPEGImages/two.jpg").unlink()
    Image.new("RGB", (64, 48)).save(tmp_path / "JPEGImages/two.png")
    (tmp_path / "JPEGImages/one.bmp").write_bytes(b"not asked for")
    assert [Path(record.file).name for record in load(tmp_path).records] == ["one.jpg", "two.png", "three.jpg"]


def test_what_is_not_there(tmp_path: Path) -> None:
    write(tmp_path / "VOCdevkit/VOC2007")
    with pytest.raises(FileNotFoundError, match=r"has no JPEGImages, Annotations, ImageSets/Main; VOC folders inside"):
        load(tmp_path)
    with pytest.raises(FileNotFoundError, match=r"VOC2012 has no JPEGImages.*VOCdevkit/VOC2012 has no JPEGImages"):
        load(tmp_path, None, image_sets=[("VOC2012", "train")])
    with pytest.raises(FileNotFoundError, match=r"val.txt: no such image list; there are train"):
        load(tmp_path / "VOCdevkit/VOC2007", "val")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"split": None}, r"give either split or image_sets, got None and None"),
        ({"image_sets": [("a", "train")]}, r"give either split or image_sets, got 'train' and"),
        ({"split": None, "image_sets": []}, r"image_sets must name one list at least"),
        ({"class_names": ("cat", "cat")}, r"class_names must be one at least, each once, got \('cat', 'cat'\)"),
        ({"class_names": ()}, r"class_names must be one at least"),
        ({"on_bad_data": "warn"}, r"on_bad_data must be one of error, skip, got 'warn'"),
    ],
)
def test_arguments_that_do_not_fit(tmp_path: Path, options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        load(write(tmp_path), **options)


def test_no_class_to_take(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"no class to take from .*: no object in 1 annotations"):
        load(write(tmp_path, {"two": []}), class_names=None)


# Real and generated data


def test_shapes(small_shapes: Path) -> None:
    voc = load(small_shapes / "VOC", class_names=None, on_bad_data="error")
    assert voc.class_names == ("circle", "cross", "square", "star", "triangle")
    assert len(voc) == 8


@pytest.mark.parametrize(
    ("split", "images", "bad"),
    [
        ("train", 205, "BloodImage_00343.xml: object 4 (RBC), box 181, 329, 181, 329"),
        ("val", 87, "BloodImage_00338.xml: object 13 (RBC), box 504, 337, 504, 337"),
        ("test", 72, None),
    ],
)
def test_bccd(shared_bccd: Path, split: str, images: int, bad: str | None) -> None:
    dataset = load(shared_bccd, split, class_names=("RBC", "WBC", "Platelets"))
    assert len(dataset) == images
    assert dataset.bad_data.counts == ({Fault.NO_AREA: 1} if bad else {})
    if bad:
        assert bad in dataset.summary()
        with pytest.raises(ValueError, match=re.escape(bad)):
            load(shared_bccd, split, class_names=("RBC", "WBC", "Platelets"), on_bad_data="error")


def test_bccd_as_a_whole(shared_bccd: Path) -> None:
    sets = [(shared_bccd.name, split) for split in ("train", "val", "test")]
    dataset = load(shared_bccd.parent, None, image_sets=sets, class_names=None)
    assert dataset.class_names == ("Platelets", "RBC", "WBC")
    labels = dataset.records.objects["label"]
    assert [(labels == label).sum() for label in (1, 2, 3)] == [361, 4155 - 2, 372]
