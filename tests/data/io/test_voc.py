import os
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from mvdet.data.io.contours import Instance, mask_box
from mvdet.data.io.masks import voc_palette
from mvdet.data.io.voc import VocFolder, image_files, read_image_list
from mvdet.data.io.voc_xml import read_annotation


def test_image_lists(tmp_path: Path) -> None:
    file = tmp_path / "train.txt"
    file.write_text("a\r\nb  1\n\nc -1\na.jpg\nv1.2\n")
    assert read_image_list(file) == ["a", "b", "c", "a", "v1.2"]
    file.write_text("\n")
    with pytest.raises(ValueError, match=r"train.txt: lists no image"):
        read_image_list(file)
    file.write_bytes(b"a\n\x81\x00\n")
    with pytest.raises(ValueError, match=r"train.txt: not text"):
        read_image_list(file)


@pytest.mark.parametrize(
    ("line", "name"),
    [
        ("a", "a"),
        ("img 1", "img 1"),
        ("img 1  -1", "img 1"),
        ("img 1\t1", "img 1"),
        ("img 2", "img 2"),  # known without the 2 too, which is no flag
        ("img", "img"),
        ("img  0", "img"),
        ("sub/img 1.jpg", "sub/img 1"),
        ("sub\\img 1.JPG  1", "sub/img 1"),
        ("./a.png", "a"),
        ("/data/VOC/JPEGImages/a.jpg", "a"),
        ("VOC2012/Annotations/sub/img 1.xml", "sub/img 1"),
        ("a 12,3,40,50,0", "a"),  # boxes behind the name
        ("v1.2", "v1.2"),
        ("v1.2.jpg", "v1.2"),
        ("unknown 1", "unknown"),
        ("unknown one.jpg", "unknown one"),
    ],
)
def test_names_in_lists(tmp_path: Path, line: str, name: str) -> None:
    file = tmp_path / "train.txt"
    file.write_text(f"{line}\n")
    assert read_image_list(file, {"a", "img", "img 1", "img 2", "sub/img 1", "v1.2"}) == [name]


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "gb2312", "gb18030"])
def test_encodings_of_lists(tmp_path: Path, encoding: str) -> None:
    file = tmp_path / "train.txt"
    file.write_bytes("图片1\r\n图片2\r\n".encode(encoding))
    assert read_image_list(file) == ["图片1", "图片2"]


def test_image_files(tmp_path: Path) -> None:
    for name in (
        "a.png",
        "a.jpg",
        "sub/b c.JPG",
        ".c.jpg",
        ".ipynb_checkpoints/a-checkpoint.jpg",
        "__MACOSX/d.jpg",
        "e.txt",
    ):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    assert image_files(tmp_path) == {"a": "a.jpg", "sub/b c": "sub/b c.JPG"}


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
    assert (first.name, first.box, first.edges) == ("dog", (1, 1, 12, 10), (0, 0, 12, 10))
    assert (second.name, second.box, second.edges) == ("cat", (30, 16, 30, 20), (29, 15, 30, 20))
    flags = (tmp_path / "VOC/Annotations/a.xml").read_text().split("<truncated>")
    assert [flag[0] for flag in flags[1:]] == ["1", "0"]
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
