"""Small data sets of every task, with whatever is to be wrong in them."""

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from mvdet.data.datasets.classification import ClassificationDataset
from mvdet.data.datasets.coco import CocoDetection
from mvdet.data.datasets.masks import FolderSegmentation
from mvdet.data.transforms.classification import eval_transform

WIDTH, HEIGHT = 64, 48


def write_picture(file: Path, seed: int) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.random.default_rng(seed).integers(0, 256, (HEIGHT, WIDTH, 3), np.uint8)).save(file)


@pytest.fixture
def objects(tmp_path: Path) -> Callable[..., CocoDetection]:
    """Makes a detection set: a list of `(class name, x, y, w, h)` or of whole annotations for each picture."""

    def make(
        pictures: Sequence[Sequence[Any]],
        classes: Sequence[str] = ("cat", "dog"),
        name: str = "train",
        seed: int = 0,
        train: bool = True,
    ) -> CocoDetection:
        images, annotations = [], []
        for number, items in enumerate(pictures, start=1):
            write_picture(tmp_path / name / f"{number}.png", seed + number)
            images.append({"id": number, "file_name": f"{number}.png", "width": WIDTH, "height": HEIGHT})
            for item in items:
                entry = {"id": len(annotations) + 1, "image_id": number, "iscrowd": 0}
                if isinstance(item, dict):
                    entry |= {"category_id": 1, "bbox": [1, 1, 9, 9], **item}
                else:
                    entry |= {"category_id": classes.index(item[0]) + 1, "bbox": list(item[1:])}
                annotations.append(entry)
        categories = [{"id": number, "name": one} for number, one in enumerate(classes, start=1)]
        content = {"images": images, "annotations": annotations, "categories": categories}
        (tmp_path / f"{name}.json").write_text(json.dumps(content))
        return CocoDetection(tmp_path / f"{name}.json", tmp_path / name, train=train)

    return make


@pytest.fixture
def masks(tmp_path: Path) -> Callable[..., FolderSegmentation]:
    """Makes a segmentation set: the numbers in each mask, in stripes of equal width."""

    def make(
        stripes: Sequence[Sequence[int]],
        classes: Sequence[str] = ("background", "thing"),
        name: str = "train",
        seed: int = 0,
        **options: Any,
    ) -> FolderSegmentation:
        for number, values in enumerate(stripes, start=1):
            write_picture(tmp_path / "images" / name / f"{number}.png", seed + number)
            mask = np.repeat(np.array([values], np.uint8), WIDTH // len(values), axis=1).repeat(HEIGHT, axis=0)
            (tmp_path / "masks" / name).mkdir(parents=True, exist_ok=True)
            Image.fromarray(np.pad(mask, ((0, 0), (0, WIDTH - mask.shape[1])), mode="edge")).save(
                tmp_path / "masks" / name / f"{number}.png"
            )
        folders = tmp_path / "images" / name, tmp_path / "masks" / name
        return FolderSegmentation(*folders, classes, train=True, **options)

    return make


@pytest.fixture
def folders(tmp_path: Path) -> Callable[..., ClassificationDataset]:
    """Makes a classification set: the number of pictures of each class, of which the last may be `broken`."""

    def make(counts: dict[str, int], name: str = "train", seed: int = 0, broken: str = "") -> ClassificationDataset:
        for place, (one, count) in enumerate(counts.items()):
            for number in range(count):
                file = tmp_path / name / one / f"{number}.png"
                write_picture(file, seed + 1000 * place + number)
                if one == broken:
                    file.write_bytes(file.read_bytes()[:-40])
        return ClassificationDataset(tmp_path / name, transform=eval_transform, train=True)

    return make
