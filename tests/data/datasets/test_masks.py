from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from mvdet.data.datasets.masks import FolderSegmentation, read_class_names
from mvdet.data.io.faults import Fault

NAMES = ("ground", "tree")


def write(folder: Path, suffix: str = ".png") -> tuple[Path, Path]:
    images, masks = folder / "images", folder / "masks"
    for number, name in enumerate(("b", "a", "deep/c")):
        for root in (images, masks):
            (root / name).parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (8, 6)).save(images / f"{name}.jpg")
        Image.fromarray(np.full((6, 8), number % 2, dtype=np.uint8)).save(masks / f"{name}{suffix}")
    return images, masks


@pytest.mark.parametrize("suffix", [".png", "_mask.png"])
def test_pairs(tmp_path: Path, suffix: str) -> None:
    folders = write(tmp_path, suffix)
    (folders[0] / "notes.txt").touch()
    dataset = FolderSegmentation(*folders, NAMES, mask_suffix=suffix, train=False, on_bad_data="error")
    assert [Path(record.file).stem for record in dataset.records] == ["a", "b", "c"]
    assert [(int(t["image_id"]), t["mask"].unique().tolist()) for _, t in dataset] == [(1, [1]), (2, [0]), (3, [0])]


def test_class_names_from_a_file(tmp_path: Path) -> None:
    (tmp_path / "names.txt").write_text("ground \n\ntree\n")
    assert FolderSegmentation(*write(tmp_path), tmp_path / "names.txt", train=True).class_names == NAMES


def test_what_has_no_partner(tmp_path: Path) -> None:
    images, masks = write(tmp_path)
    (masks / "b.png").unlink()
    Image.new("L", (8, 6)).save(masks / "x.png")
    Image.new("RGB", (8, 6)).save(images / "a.png")
    with pytest.raises(ValueError, match="found 3 bad items") as error:
        FolderSegmentation(images, masks, NAMES, train=True, on_bad_data="error")
    error.match(rf"missing mask: image 3: {masks}/b\.png: no such file")
    error.match(rf"unknown image: {masks}/x\.png: no image in {images} is called like it")
    error.match(rf"id that occurs twice: image 2: {images}/a\.png: {masks}/a\.png belongs to {images}/a\.jpg already")
    dataset = FolderSegmentation(images, masks, NAMES, train=True)
    assert [Path(record.file).name for record in dataset.records] == ["a.jpg", "c.jpg"]
    assert dataset.bad_data.counts == {Fault.MISSING_MASK: 1, Fault.UNKNOWN_IMAGE: 1, Fault.DUPLICATE_ID: 1}


def test_wrong_arguments(tmp_path: Path) -> None:
    images, masks = write(tmp_path)
    with pytest.raises(FileNotFoundError, match="none is not a folder; the masks were expected in it"):
        FolderSegmentation(images, tmp_path / "none", NAMES, train=True)
    with pytest.raises(ValueError, match=r"mask_suffix must end in \.png, got '\.jpg'"):
        FolderSegmentation(images, masks, NAMES, mask_suffix=".jpg", train=True)
    with pytest.raises(ValueError, match="no usable image"):
        FolderSegmentation(tmp_path / "images/deep", masks, NAMES, train=True)


def test_hidden_files_are_not_there(tmp_path: Path) -> None:
    images, masks = write(tmp_path)
    before = [record.file for record in FolderSegmentation(images, masks, NAMES, train=True).records]
    for folder in (images, masks):
        for name in (".ipynb_checkpoints", "__MACOSX"):
            (folder / name).mkdir()
            (folder / name / "a.png").write_bytes(b"no picture")
        (folder / "._a.png").write_bytes(b"no picture")
    dataset = FolderSegmentation(images, masks, NAMES, train=True, on_bad_data="error")
    assert [record.file for record in dataset.records] == before


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "gb2312"])
def test_encodings_of_class_names(tmp_path: Path, encoding: str) -> None:
    file = tmp_path / "classes.txt"
    file.write_bytes("背景\n红灯\n".encode(encoding))
    assert read_class_names(file) == ("背景", "红灯")


@pytest.mark.parametrize(("text", "got"), [("", "none"), ("a\nb\na\n", "a, b, a")])
def test_class_names_that_cannot_be_used(tmp_path: Path, text: str, got: str) -> None:
    file = tmp_path / "classes.txt"
    file.write_text(text)
    with pytest.raises(ValueError, match=rf"classes.txt: must name one class at least, each once, got {got}"):
        read_class_names(file)
