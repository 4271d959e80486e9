import hashlib
import itertools
import json
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import yaml
from PIL import Image
from ultralytics.data.utils import verify_image_label
from ultralytics.utils.ops import xywhn2xyxy

from mvdet.data.io.contours import mask_box
from mvdet.data.io.folders import MARKER
from mvdet.data.io.voc import read_image_list
from mvdet.data.io.voc_xml import read_annotation
from mvdet.data.shapes import dataset
from mvdet.data.shapes import render as shapes_render
from mvdet.data.shapes.dataset import CLASSES, generate, render

Boxes = list[tuple[int, tuple[int, ...]]]
PIXELS = "3f8499dc3f5a4015"
OBJECTS = "4fa917bca88ff5b8"


def yolo_boxes(root: Path, split: str, name: str) -> Boxes:
    """Class and xyxy box of each row, as ultralytics' own loader derives them."""
    image, label = root / f"images/{split}/{name}.jpg", root / f"labels/{split}/{name}.txt"
    _, rows, (height, width), _, _, missing, found, empty, corrupt, message = verify_image_label(
        (str(image), str(label), "", False, len(CLASSES), 0, 0, False)
    )
    assert (missing, found, empty, corrupt, message) == (0, 1, 0, 0, "")
    boxes = xywhn2xyxy(rows[:, 1:].astype(np.float64), width, height)
    assert np.abs(boxes - boxes.round()).max() < 2e-3
    order = [tuple(row) for row in boxes.round().astype(int).tolist()]
    return sorted(zip(rows[:, 0].astype(int).tolist(), order, strict=True))


def voc_boxes(root: Path, name: str) -> Boxes:
    annotation = read_annotation(root / f"VOC/Annotations/{name}.xml")
    return sorted((CLASSES.index(item.name), tuple(int(edge) for edge in item.edges)) for item in annotation.objects)


# The picture itself


def test_a_picture_and_its_objects() -> None:
    for index in range(20):
        picture, instances = render(index)
        height, width, channels = picture.shape
        assert picture.dtype == np.uint8
        assert channels == 3
        assert all(256 <= side <= 384 for side in (height, width))
        assert 1 <= len(instances) <= 7
        for instance in instances:
            assert instance.mask.shape == (height, width)
            assert instance.box == mask_box(instance.mask)
            assert 0 <= instance.label < len(CLASSES)
        assert np.sum([instance.mask for instance in instances], axis=0).max() == 1  # no pixel belongs to two


def test_pictures_are_fixed_by_seed_split_and_index() -> None:
    """Pinned: another machine, or another version of numpy, must give these very pixels and masks."""
    pixels, objects = hashlib.sha256(), hashlib.sha256()
    for index in range(12):
        picture, instances = render(index, split="val", seed=3)
        pixels.update(picture.tobytes())
        for instance in instances:
            objects.update(repr((instance.label, instance.box, instance.area)).encode())
            objects.update(np.packbits(instance.mask).tobytes())
    assert objects.hexdigest()[: len(OBJECTS)] == OBJECTS
    assert pixels.hexdigest()[: len(PIXELS)] == PIXELS


def test_every_picture_is_another_one() -> None:
    keys = [(split, seed, index) for split in ("train", "val") for seed in (0, 1) for index in (0, 1)]
    digests = {hashlib.sha256(render(i, split=split, seed=seed)[0].tobytes()).digest() for split, seed, i in keys}
    assert len(digests) == len(keys)


@pytest.mark.parametrize("index", range(30))
def test_masks_are_where_the_objects_are_painted(index: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Paint object n in the colour whose red, green and blue are the bits of n, on black; look up who is where."""
    numbers = itertools.count(1)

    def black(rng: np.random.Generator, height: int, width: int) -> np.ndarray:
        return np.zeros((3, height, width), dtype=np.float32)

    def flat(first: object, second: object, field: np.ndarray) -> np.ndarray:
        number = next(numbers)
        return np.stack([np.full_like(field, 200.0 * (number >> channel & 1)) for channel in range(3)])

    monkeypatch.setattr(shapes_render, "_paint_background", black)
    monkeypatch.setattr(shapes_render, "_paint_stroke", lambda rng, canvas: None)
    monkeypatch.setattr(shapes_render, "_blend", flat)
    picture, instances = render(index)
    painted = ((picture > 60) * np.array([1, 2, 4])).sum(axis=2)
    around = np.ones((5, 5), dtype=np.uint8)
    for number, instance in enumerate(instances, start=1):
        assert np.all(painted[cv2.erode(instance.mask.astype(np.uint8), around) == 1] == number)
    covered = np.any([instance.mask for instance in instances], axis=0)
    assert np.all(painted[cv2.dilate(covered.astype(np.uint8), around) == 0] == 0)
    assert 0.9 < np.count_nonzero(painted) / np.count_nonzero(covered) < 1.1


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"index": -1}, "index must be at least 0, got -1"),
        ({"index": 0, "seed": -5}, "seed must be at least 0, got -5"),
        ({"index": 0, "split": "test"}, "split must be one of train, val, got 'test'"),
    ],
)
def test_bad_arguments_to_render(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        render(**arguments)


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"num_train": 0}, ValueError, "num_train must be at least 1, got 0"),
        ({"num_val": -1}, ValueError, "num_val must be at least 1, got -1"),
        ({"seed": -1}, ValueError, "seed must be at least 0, got -1"),
        ({"num_train": 2.5}, TypeError, "num_train must be an integer, got 2.5"),
    ],
)
def test_bad_arguments_to_generate(
    tmp_path: Path, arguments: dict[str, Any], error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        generate(tmp_path / "shapes", **arguments)
    assert list(tmp_path.iterdir()) == []


# The whole set, as the YAML file's download hook makes it


def test_the_yaml_file_makes_the_data_set(shapes_data: dict[str, Any], check_dataset: Any) -> None:
    assert tuple(shapes_data["names"].values()) == CLASSES
    assert Path(shapes_data["path"]).name == "shapes"
    for split, count in (("train", 400), ("val", 100)):
        assert len(list(Path(shapes_data[split]).glob("*.jpg"))) == count
    before = (Path(shapes_data["path"]) / MARKER).stat().st_mtime_ns
    check_dataset("cfg/datasets/shapes.yaml")
    assert (Path(shapes_data["path"]) / MARKER).stat().st_mtime_ns == before


def test_three_formats_give_the_same_boxes(shapes_root: Path) -> None:
    for split in ("train", "val"):
        coco = json.loads((shapes_root / f"annotations/instances_{split}.json").read_text())
        assert tuple(category["name"] for category in coco["categories"]) == CLASSES
        by_image: dict[int, Boxes] = {image["id"]: [] for image in coco["images"]}
        for annotation in coco["annotations"]:
            x, y, w, h = annotation["bbox"]
            by_image[annotation["image_id"]].append((annotation["category_id"] - 1, (x, y, x + w, y + h)))
        names = [Path(image["file_name"]).stem for image in coco["images"]]
        assert names == read_image_list(shapes_root / f"VOC/ImageSets/Main/{split}.txt")
        assert names == read_image_list(shapes_root / f"VOC/ImageSets/Segmentation/{split}.txt")
        assert names == sorted(file.stem for file in (shapes_root / "images" / split).iterdir())
        for image, name in zip(coco["images"], names, strict=True):
            boxes = sorted(by_image[image["id"]])
            assert boxes
            assert voc_boxes(shapes_root, name) == boxes
            assert yolo_boxes(shapes_root, split, name) == boxes
            with Image.open(shapes_root / "images" / split / image["file_name"]) as picture:
                assert picture.size == (image["width"], image["height"])


def test_masks_are_the_same_in_coco_and_voc(shapes_root: Path) -> None:
    coco = pytest.importorskip("pycocotools.coco").COCO(str(shapes_root / "annotations/instances_val.json"))
    assert len(coco.getImgIds()) == 100
    for image in coco.loadImgs(coco.getImgIds()):
        name = Path(image["file_name"]).stem
        with Image.open(shapes_root / f"VOC/SegmentationClass/{name}.png") as mask:
            classes = np.asarray(mask)
        with Image.open(shapes_root / f"VOC/SegmentationObject/{name}.png") as mask:
            objects = np.asarray(mask)
        assert classes.shape == (image["height"], image["width"])
        union = np.zeros_like(classes)
        for number, annotation in enumerate(coco.loadAnns(coco.getAnnIds(imgIds=image["id"])), start=1):
            mask = coco.annToMask(annotation).astype(bool)
            assert annotation["area"] == np.count_nonzero(mask)
            assert np.array_equal(mask, objects == number)
            assert np.all(classes[mask] == annotation["category_id"])
            union[mask] = annotation["category_id"]
        assert np.array_equal(union, classes)


def test_files_are_those_of_render(shapes_root: Path) -> None:
    picture, instances = render(7, split="val")
    with Image.open(shapes_root / "images/val/val_00007.jpg") as image:
        stored = np.asarray(image).astype(int)
    assert np.abs(stored - picture).mean() < 3
    assert sorted((item.label, item.box) for item in instances) == yolo_boxes(shapes_root, "val", "val_00007")


def test_images_are_stored_once(shapes_root: Path) -> None:
    links = list((shapes_root / "VOC/JPEGImages").iterdir())
    assert len(links) == 500
    for link in links:
        assert link.samefile(shapes_root / "images" / link.name.split("_")[0] / link.name)


def test_variety(shapes_root: Path) -> None:
    """All classes, sizes over a factor of ten, overlaps, cut-off objects, several aspect ratios, several objects."""
    for split in ("train", "val"):
        classes: Counter[str] = Counter()
        sides, ratios, counts = [], set(), []
        occluded = truncated = 0
        for name in read_image_list(shapes_root / f"VOC/ImageSets/Main/{split}.txt"):
            file = shapes_root / f"VOC/Annotations/{name}.xml"
            annotation = read_annotation(file)
            counts.append(len(annotation.objects))
            ratios.add(round(annotation.width / annotation.height, 1))
            occluded += file.read_text().count("<occluded>1")
            truncated += file.read_text().count("<truncated>1")
            for item in annotation.objects:
                classes[item.name] += 1
                x1, y1, x2, y2 = item.edges
                sides.append(max(x2 - x1, y2 - y1))
                assert min(x2 - x1, y2 - y1) >= 8
        total = sum(counts)
        assert set(classes) == set(CLASSES)
        assert min(classes.values()) > 0.12 * total
        assert max(sides) / min(sides) >= 10
        assert np.median(sides) > 32  # small ones do not dominate
        assert {0.8, 1.0, 1.2} <= ratios
        assert 3 < total / len(counts) < 7
        assert occluded > 0.15 * total
        assert 0.02 * total < truncated < 0.4 * total


def test_a_shorter_set_is_the_beginning_of_a_longer_one(shapes_root: Path, tmp_path: Path) -> None:
    root = generate(str(tmp_path / "short"), num_train=3, num_val=2)
    assert root == tmp_path / "short"
    for folder in ("images/train", "images/val", "labels/train", "VOC/Annotations", "VOC/SegmentationClass"):
        for file in (root / folder).iterdir():
            assert file.read_bytes() == (shapes_root / folder / file.name).read_bytes()
    assert len(read_image_list(root / "VOC/ImageSets/Main/trainval.txt")) == 5


# Making it: interrupted, at the same time, twice


def test_generate_leaves_a_finished_set_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    root = generate(tmp_path / "shapes", num_train=2, num_val=1, seed=4)

    def refuse(index: int, **_: Any) -> None:
        raise AssertionError("nothing should be rendered")

    monkeypatch.setattr(dataset, "render", refuse)
    assert generate(root, num_train=2, num_val=1, seed=4) == root
    with pytest.raises(FileExistsError, match=r"'seed': 4.*not with.*'seed': 5"):
        generate(root, num_train=2, num_val=1, seed=5)


def test_an_interrupted_generation_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupt(index: int, *, split: str, seed: int) -> Any:
        if index == 2:
            raise KeyboardInterrupt
        return render(index, split=split, seed=seed)

    monkeypatch.setattr(dataset, "render", interrupt)
    with pytest.raises(KeyboardInterrupt):
        generate(tmp_path / "shapes", num_train=4, num_val=1)
    assert list(tmp_path.iterdir()) == []


def start(root: Path, num_train: int) -> subprocess.Popen[str]:
    call = f"generate({str(root)!r}, num_train={num_train}, num_val=2)"
    code = f"from mvdet.data.shapes.dataset import generate; print({call})"
    repository = str(Path(__file__).parents[3])
    environment = os.environ | {"PYTHONPATH": os.pathsep.join([repository, os.environ.get("PYTHONPATH", "")])}
    return subprocess.Popen(
        [sys.executable, "-c", code], env=environment, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )


def test_processes_at_the_same_time(tmp_path: Path) -> None:
    root = tmp_path / "shapes"
    processes = [start(root, 12) for _ in range(2)]
    for process in processes:
        output, errors = process.communicate(timeout=60)
        assert (process.returncode, output.strip()) == (0, str(root)), errors
    assert list(tmp_path.iterdir()) == [root]
    assert generate(root, num_train=12, num_val=2) == root


def test_a_killed_process_leaves_no_half_a_set(tmp_path: Path) -> None:
    root = tmp_path / "shapes"
    process = start(root, 100_000)
    deadline = time.monotonic() + 60
    while not list(tmp_path.glob(".shapes.building-*/images/train/*.jpg")):
        assert time.monotonic() < deadline
        assert process.poll() is None
        time.sleep(0.05)
    process.send_signal(signal.SIGKILL if os.name == "posix" else signal.SIGTERM)
    process.communicate()
    assert not root.exists()
    generate(root, num_train=2, num_val=1)
    assert len(list((root / "images/train").iterdir())) == 2


def test_importing_the_package_is_cheap() -> None:
    code = "import sys, mvdet.data; print(sorted({'numpy', 'cv2', 'torch', 'PIL', 'ultralytics'} & set(sys.modules)))"
    repository = Path(__file__).parents[3]
    result = subprocess.run([sys.executable, "-c", code], cwd=repository, capture_output=True, text=True, check=True)
    assert result.stdout.strip() == "[]"


def test_names_in_the_yaml_file_are_the_classes() -> None:
    content = yaml.safe_load((Path(__file__).parents[3] / "cfg/datasets/shapes.yaml").read_text())
    assert content["names"] == dict(enumerate(CLASSES))
    assert content["path"] == "shapes"
