import os
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from mvdet.data.instances import Instance, mask_box
from mvdet.data.voc import read_annotation, read_image_list
from mvdet.data.voc_writer import VocFolder, voc_palette


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
