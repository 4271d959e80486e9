import logging
import socket
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from file_server import serve
from PIL import Image

from mvdet.data.datasets import bccd
from mvdet.data.datasets.bccd import CLASSES, find_voc_folder, prepare

Box = tuple[str, int, int, int, int]

PLAIN: dict[str, list[Box]] = {
    "cell_1": [("RBC", 1, 1, 64, 48), ("Platelets", 10, 20, 19, 29)],
    "cell_2": [("WBC", 33, 1, 64, 24)],
    "cell_3": [("RBC", 5, 5, 8, 8)],
}


@pytest.fixture(autouse=True)
def _no_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MVDET_BCCD", raising=False)


def write_voc(folder: Path, content: dict[str, list[Box]] = PLAIN, size: tuple[int, int] = (64, 48)) -> Path:
    """A VOC folder with one image, 64 x 48, in each of train, val and test."""
    for name in ("JPEGImages", "Annotations", "ImageSets/Main"):
        (folder / name).mkdir(parents=True)
    for split, (name, boxes) in zip(("train", "val", "test"), content.items(), strict=True):
        Image.new("RGB", (64, 48)).save(folder / f"JPEGImages/{name}.jpg")
        objects = "".join(
            f"<object><name>{label}</name><bndbox><xmin>{x1}</xmin><ymin>{y1}</ymin><xmax>{x2}</xmax><ymax>{y2}</ymax>"
            "</bndbox></object>"
            for label, x1, y1, x2, y2 in boxes
        )
        xml = f"<annotation><size><width>{size[0]}</width><height>{size[1]}</height></size>{objects}</annotation>"
        (folder / f"Annotations/{name}.xml").write_text(xml)
        (folder / f"ImageSets/Main/{split}.txt").write_text(f"{name}\n")
    return folder


def rows(root: Path, split: str, name: str) -> np.ndarray:
    """[N, 5]: class and xyxy pixels on an image of 64 x 48."""
    values = np.array([line.split() for line in (root / f"labels/{split}/{name}.txt").read_text().splitlines()], float)
    centre, size = values[:, 1:3] * (64, 48), values[:, 3:] * (64, 48)
    return np.hstack([values[:, :1], centre - size / 2, centre + size / 2])


def test_boxes_become_pixel_edges(tmp_path: Path) -> None:
    summary = prepare(tmp_path / "out", write_voc(tmp_path / "voc"))
    assert summary.images == {"train": 1, "val": 1, "test": 1}
    assert summary.boxes == {"train": 2, "val": 1, "test": 1}
    expected = [[0, 0, 0, 64, 48], [2, 9, 19, 19, 29]]
    np.testing.assert_allclose(rows(tmp_path / "out", "train", "cell_1"), expected, atol=1e-3)
    np.testing.assert_allclose(rows(tmp_path / "out", "val", "cell_2"), [[1, 32, 0, 64, 24]], atol=1e-3)
    image = tmp_path / "out/images/test/cell_3.jpg"
    assert image.read_bytes() == (tmp_path / "voc/JPEGImages/cell_3.jpg").read_bytes()
    assert not image.samefile(tmp_path / "voc/JPEGImages/cell_3.jpg")  # the source is out of reach


def test_a_second_call_does_nothing_and_says_the_same(tmp_path: Path) -> None:
    content = PLAIN | {"cell_3": [("RBC", 7, 7, 7, 9), ("RBC", 0, 1, 70, 48)]}
    summary = prepare(tmp_path / "out", write_voc(tmp_path / "voc", content))
    assert prepare(tmp_path / "out", tmp_path / "gone") == summary


def test_boxes_without_area_are_left_out_loudly(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    content = PLAIN | {
        "cell_2": [("WBC", 33, 1, 64, 24), ("RBC", 7, 9, 7, 9), ("RBC", 5, 20, 9, 20), ("RBC", 9, 1, 8, 4)]
    }
    with caplog.at_level(logging.WARNING):
        summary = prepare(tmp_path / "out", write_voc(tmp_path / "voc", content))
    assert summary.boxes["val"] == 1
    assert summary.left_out == [
        "cell_2.xml: object 2 (RBC), box 7, 9, 7, 9",
        "cell_2.xml: object 3 (RBC), box 5, 20, 9, 20",
        "cell_2.xml: object 4 (RBC), box 9, 1, 8, 4",
    ]
    assert [record.message for record in caplog.records] == [
        f"BCCD: left out a box without area: {line}" for line in summary.left_out
    ]
    assert "3 boxes without area left out, 0 clipped" in str(summary)


def test_boxes_are_clipped_to_the_image(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    content = PLAIN | {"cell_2": [("WBC", 0, -3, 10, 99), ("RBC", 70, 1, 80, 9)]}
    summary = prepare(tmp_path / "out", write_voc(tmp_path / "voc", content))
    np.testing.assert_allclose(rows(tmp_path / "out", "val", "cell_2"), [[1, 0, 0, 10, 48]], atol=1e-3)
    assert summary.clipped == ["cell_2.xml: object 1 (WBC), box 0, -3, 10, 99"]
    assert summary.left_out == ["cell_2.xml: object 2 (RBC), box 70, 1, 80, 9"]  # wholly outside
    assert "clipped a box to its image of 64 x 48 pixels: cell_2.xml" in caplog.text


def test_unknown_classes_are_named(tmp_path: Path) -> None:
    content = PLAIN | {"cell_2": [("WBC", 1, 1, 4, 4), ("Rbc", 1, 1, 4, 4)]}
    with pytest.raises(ValueError, match=r"cell_2.xml: object 2: unknown class 'Rbc', allowed are RBC, WBC, Platelets"):
        prepare(tmp_path / "out", write_voc(tmp_path / "voc", content))
    assert not (tmp_path / "out").exists()


def test_a_size_other_than_the_images_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"cell_1.xml: says 65 x 48 pixels, but .*cell_1.jpg has 64 x 48"):
        prepare(tmp_path / "out", write_voc(tmp_path / "voc", size=(65, 48)))


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    (write_voc(tmp_path / "voc") / "Annotations/cell_3.xml").unlink()
    with pytest.raises(FileNotFoundError, match=r"cell_3.xml"):
        prepare(tmp_path / "out", tmp_path / "voc")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["voc"]


@pytest.mark.parametrize("inner", ["", "BCCD", "BCCD_Dataset-master", "BCCD_Dataset-master/BCCD"])
def test_where_a_local_copy_may_lie(tmp_path: Path, inner: str, monkeypatch: pytest.MonkeyPatch) -> None:
    write_voc(tmp_path / "copy" / inner)
    monkeypatch.setenv("MVDET_BCCD", str(tmp_path / "copy"))
    assert prepare(tmp_path / "out").images["train"] == 1


def test_the_argument_comes_before_the_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MVDET_BCCD", str(tmp_path / "nowhere"))
    with pytest.raises(FileNotFoundError, match=r"nowhere is not a folder"):
        prepare(tmp_path / "out")
    assert prepare(tmp_path / "out", write_voc(tmp_path / "voc")).images["train"] == 1


def test_a_folder_of_something_else_is_refused(tmp_path: Path) -> None:
    (tmp_path / "voc/JPEGImages").mkdir(parents=True)
    with pytest.raises(FileNotFoundError, match=r"not a copy of BCCD: it has no Annotations, ImageSets/Main"):
        prepare(tmp_path / "out", tmp_path / "voc")


# Download


def pack(folder: Path, archive: Path) -> None:
    with zipfile.ZipFile(archive, "w") as content:
        for file in sorted(folder.rglob("*")):
            content.write(file, file.relative_to(folder))


def test_download(tmp_path: Path) -> None:
    repository = tmp_path / "pack/BCCD_Dataset-master"
    write_voc(repository / "BCCD")
    (repository / "LICENSE").write_text("MIT")
    (tmp_path / "web").mkdir()
    pack(tmp_path / "pack", tmp_path / "web/master.zip")
    before = socket.getdefaulttimeout()
    with serve(tmp_path / "web") as server:
        summary = prepare(tmp_path / "data/bccd", url=f"{server.url}/master.zip")
    assert summary.boxes == {"train": 2, "val": 1, "test": 1}
    names = sorted(path.name for path in (tmp_path / "data/bccd").iterdir())
    assert names == ["LICENSE", "images", "labels", "mvdet-dataset.json"]
    assert [path.name for path in (tmp_path / "data").iterdir()] == ["bccd"]
    assert socket.getdefaulttimeout() == before


def test_the_archive_as_it_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_voc(tmp_path / "pack/BCCD_Dataset-master/BCCD")
    (tmp_path / "web").mkdir()
    pack(tmp_path / "pack", tmp_path / "web/master.zip")
    root = tmp_path / "data" / "BCCD_Dataset"
    with serve(tmp_path / "web") as server:
        with pytest.raises(ConnectionError):
            find_voc_folder(root, url=f"{server.url}/nothing.zip")
        assert not root.exists()
        folder = find_voc_folder(root, url=f"{server.url}/master.zip")
        asked = len(server.requests)
        assert find_voc_folder(root, url=f"{server.url}/master.zip") == folder
        assert len(server.requests) == asked
    assert folder == root / "BCCD_Dataset-master" / "BCCD"
    assert [path.name for path in root.parent.iterdir()] == ["BCCD_Dataset"]
    monkeypatch.setenv("MVDET_BCCD", str(folder))
    assert find_voc_folder(tmp_path / "elsewhere") == folder


@pytest.mark.parametrize("what", ["no server", "no file", "cut short"])
def test_a_failed_download_says_what_to_do(tmp_path: Path, what: str) -> None:
    write_voc(tmp_path / "pack/BCCD")
    (tmp_path / "web").mkdir()
    pack(tmp_path / "pack", tmp_path / "web/whole.zip")
    (tmp_path / "web/half.zip").write_bytes((tmp_path / "web/whole.zip").read_bytes()[:2000])
    with serve(tmp_path / "web") as server:
        urls = {
            "no server": "http://127.0.0.1:9/a.zip",
            "no file": f"{server.url}/a.zip",
            "cut short": f"{server.url}/half.zip",
        }
        with pytest.raises(ConnectionError) as error:
            prepare(tmp_path / "data/bccd", url=urls[what])
    message = str(error.value)
    assert message.startswith(f"could not download BCCD from {urls[what]}: ")
    assert "fetch https://github.com/Shenggan/BCCD_Dataset/archive/refs/heads/master.zip" in message
    assert "MVDET_BCCD to the folder in it that holds JPEGImages, Annotations, ImageSets/Main" in message
    assert list((tmp_path / "data").iterdir()) == []


# The real thing


def test_the_yaml_file(check_dataset: Any, shared_bccd: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any) -> None:
    monkeypatch.setenv("MVDET_BCCD", str(shared_bccd))
    data = check_dataset("cfg/datasets/bccd.yaml")
    assert "205 images / 2804 boxes, val 87 images / 1137 boxes, test 72 images / 945 boxes" in capsys.readouterr().out
    assert tuple(data["names"].values()) == CLASSES
    for split, count in (("train", 205), ("val", 87), ("test", 72)):
        assert len(list(Path(data[split]).glob("*.jpg"))) == count


def test_bccd(tmp_path: Path, shared_bccd: Path, caplog: pytest.LogCaptureFixture) -> None:
    summary = prepare(tmp_path / "bccd", shared_bccd)
    assert sum(summary.images.values()) == 364
    assert sum(summary.boxes.values()) == 4888 - 2
    assert sorted(summary.left_out) == [
        "BloodImage_00338.xml: object 13 (RBC), box 504, 337, 504, 337",
        "BloodImage_00343.xml: object 4 (RBC), box 181, 329, 181, 329",
    ]
    assert summary.clipped == []
    assert len(caplog.records) == 2
    labels = [line.split()[0] for file in (tmp_path / "bccd/labels").rglob("*.txt") for line in file.open()]
    assert {name: labels.count(str(index)) for index, name in enumerate(CLASSES)} == {
        "RBC": 4155 - 2,
        "WBC": 372,
        "Platelets": 361,
    }
    assert (tmp_path / "bccd/LICENSE").is_file()


def test_names_in_the_yaml_file_are_the_classes() -> None:
    content = yaml.safe_load((Path(__file__).parents[3] / "cfg/datasets/bccd.yaml").read_text())
    assert content["names"] == dict(enumerate(CLASSES))
    assert content["path"] == "bccd"
    assert all(content[split] == f"images/{split}" for split in bccd.SPLITS)
