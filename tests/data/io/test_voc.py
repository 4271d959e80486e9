import os
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from mvdet.data.io.contours import Instance, mask_box
from mvdet.data.io.masks import voc_palette
from mvdet.data.io.voc import VocFolder, VocObject, read_annotation, read_image_list

OBJECT = (
    "<object><name> RBC </name><truncated>1</truncated><difficult>0</difficult>"
    "<bndbox><xmin>1</xmin><ymin>2</ymin><xmax>3.5</xmax><ymax>4</ymax></bndbox>"
    "<part><name>head</name><bndbox><xmin>9</xmin></bndbox></part></object>"
)
SIZE = "<size><width>64</width><height>48</height></size>"


def write(folder: Path, content: str) -> Path:
    file = folder / "a.xml"
    file.write_text(content)
    return file


def test_an_annotation(tmp_path: Path) -> None:
    file = write(tmp_path, f"<annotation><filename>a.jpg</filename>{SIZE}{OBJECT}{OBJECT}</annotation>")
    annotation = read_annotation(str(file))
    expected = VocObject("RBC", (1, 2, 3.5, 4), difficult=False, truncated=True)
    assert annotation.objects == (expected, expected)
    assert (annotation.file, annotation.filename) == (file, "a.jpg")
    assert (annotation.width, annotation.height) == (64, 48)
    assert expected.edges == (0, 1, 3.5, 4)


def test_no_objects_and_no_filename(tmp_path: Path) -> None:
    annotation = read_annotation(write(tmp_path, f"<annotation>{SIZE}</annotation>"))
    assert annotation.objects == ()
    assert annotation.filename == ""


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("<annotation>", "not well-formed XML"),
        ("", "not well-formed XML"),
        ("<html></html>", "must be <annotation>, got <html>"),
        ("<annotation></annotation>", "<size/width> is missing"),
        (f"<annotation>{SIZE.replace('64', '0')}</annotation>", "<size/width> .* at least 1, got 0"),
        (f"<annotation>{SIZE.replace('48', '4.5')}</annotation>", "<size/height> .* whole number .* got 4.5"),
        (f"<annotation>{SIZE}{OBJECT}<object/></annotation>", "object 2: <name> is missing"),
        (f"<annotation>{SIZE}{OBJECT.replace(' RBC ', ' ')}</annotation>", "object 1: <name> is missing or empty"),
        (f"<annotation>{SIZE}{OBJECT.replace('3.5', 'wide')}</annotation>", "object 1: <bndbox/xmax> .* got 'wide'"),
        (f"<annotation>{SIZE}{OBJECT.replace('3.5', 'nan')}</annotation>", "object 1: <bndbox/xmax> must be finite"),
        (f"<annotation>{SIZE}<object><name>a</name></object></annotation>", "object 1: <bndbox/xmin> is missing"),
        (f"<annotation>{SIZE}{OBJECT.replace('>0<', '>yes<')}</annotation>", "object 1: <difficult> .* got 'yes'"),
    ],
)
def test_bad_files_are_named(tmp_path: Path, content: str, message: str) -> None:
    file = write(tmp_path, content)
    with pytest.raises(ValueError, match=message) as error:
        read_annotation(file)
    assert str(file) in str(error.value)


def test_missing_file(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="nowhere"):
        read_annotation(tmp_path / "nowhere.xml")


def test_image_lists(tmp_path: Path) -> None:
    file = tmp_path / "train.txt"
    file.write_text("a\r\nb  1\n\nc -1\n")
    assert read_image_list(file) == ["a", "b", "c"]
    file.write_text("a\nb\na\n")
    with pytest.raises(ValueError, match=r"train.txt: lists images twice: a$"):
        read_image_list(file)
    file.write_text("\n")
    with pytest.raises(ValueError, match=r"train.txt: lists no image"):
        read_image_list(file)


def test_palette_is_vocs() -> None:
    palette = np.array(voc_palette()).reshape(256, 3).tolist()
    assert palette[:5] == [[0, 0, 0], [128, 0, 0], [0, 128, 0], [128, 128, 0], [0, 0, 128]]
    assert palette[15] == [192, 128, 128]  # person
    assert palette[20] == [0, 64, 128]  # tv monitor
    assert palette[255] == [224, 224, 192]


def write_folder(root: Path) -> np.ndarray:
    """A folder with one image of two objects; returns its class mask."""
    image = root / "a.jpg"
    Image.new("RGB", (30, 20)).save(image)
    first, second = np.zeros((2, 20, 30), dtype=bool)
    first[0:10, 0:12] = True
    second[15:20, 29:30] = True
    voc = VocFolder(root / "VOC", ("cat", "dog"))
    voc.add(image, 30, 20, [Instance(1, first, mask_box(first), truncated=True), Instance(0, second, mask_box(second))])
    voc.write_lists({"train": ["a"]})
    return first * 2 + second * 1


def test_round_trip(tmp_path: Path) -> None:
    classes = write_folder(tmp_path)
    annotation = read_annotation(tmp_path / "VOC/Annotations/a.xml")
    assert (annotation.filename, annotation.width, annotation.height) == ("a.jpg", 30, 20)
    first, second = annotation.objects
    assert (first.name, first.box, first.edges, first.truncated) == ("dog", (1, 1, 12, 10), (0, 0, 12, 10), True)
    assert (second.name, second.box, second.edges, second.truncated) == (
        "cat",
        (30, 16, 30, 20),
        (29, 15, 30, 20),
        False,
    )
    for task in ("Main", "Segmentation"):
        assert read_image_list(tmp_path / f"VOC/ImageSets/{task}/train.txt") == ["a"]
    with Image.open(tmp_path / "VOC/SegmentationClass/a.png") as mask:
        assert mask.mode == "P"
        assert (mask.getpalette() or [])[: 3 * 3] == voc_palette()[: 3 * 3]
        assert np.array_equal(np.asarray(mask), classes)
    with Image.open(tmp_path / "VOC/SegmentationObject/a.png") as mask:
        assert np.array_equal(np.asarray(mask), np.where(classes == 2, 1, np.where(classes == 1, 2, 0)))


def test_images_are_linked(tmp_path: Path) -> None:
    write_folder(tmp_path)
    assert (tmp_path / "VOC/JPEGImages/a.jpg").samefile(tmp_path / "a.jpg")


def test_images_are_copied_where_links_are_not_possible(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(source: Path, target: Path) -> None:
        raise OSError(18, "Invalid cross-device link")

    monkeypatch.setattr(os, "link", refuse)
    write_folder(tmp_path)
    copy = tmp_path / "VOC/JPEGImages/a.jpg"
    assert not copy.samefile(tmp_path / "a.jpg")
    assert copy.read_bytes() == (tmp_path / "a.jpg").read_bytes()


def test_linking_hides_no_mistake(tmp_path: Path) -> None:
    voc = VocFolder(tmp_path / "VOC", ("cat",))
    with pytest.raises(FileNotFoundError):
        voc.add(tmp_path / "missing.jpg", 4, 4, [])
    write_folder(tmp_path / "VOC")  # any folder will do
    voc.add(tmp_path / "VOC/a.jpg", 30, 20, [])
    with pytest.raises(FileExistsError):
        voc.add(tmp_path / "VOC/a.jpg", 30, 20, [])
