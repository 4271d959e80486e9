from pathlib import Path

import numpy as np
import pytest

from mvdet.data.datasets.classification import ClassificationDataset
from mvdet.data.io.images import read_image
from mvdet.data.shapes.dataset import CLASSES, generate_classification, render
from mvdet.data.transforms.classification import eval_transform


def test_every_large_object_becomes_an_image(tmp_path: Path) -> None:
    root = generate_classification(tmp_path / "data", num_train=12, num_val=10)
    for split, count in (("train", 12), ("val", 10)):
        dataset = ClassificationDataset(root / split, transform=eval_transform)
        assert dataset.class_names == tuple(sorted(CLASSES))
        objects = {}
        for index in range(count):
            for number, found in enumerate(render(index, split=split)[1]):
                x1, y1, x2, y2 = found.box
                if max(x2 - x1, y2 - y1) >= 32:
                    objects[f"{split}_{index:05d}_{number}"] = CLASSES[found.label]
        assert {Path(one.file).stem: dataset.class_names[one.label] for one in dataset.records} == objects


def test_the_object_is_in_the_image(tmp_path: Path) -> None:
    root = generate_classification(tmp_path / "data", num_train=5, num_val=5)
    picture, objects = render(0)
    for number, found in enumerate(objects):
        for file in root.glob(f"train/*/train_00000_{number}.jpg"):
            x1, y1, x2, y2 = found.box
            cut = read_image(file)
            assert cut.shape[0] >= y2 - y1
            assert cut.shape[1] >= x2 - x1
            side = max(x2 - x1, y2 - y1)
            assert max(cut.shape[:2]) <= side * 1.3 + 2
            colours = picture[found.mask].mean(axis=0)
            assert np.abs(cut.reshape(-1, 3).astype(int) - colours).sum(axis=1).min() < 60


def test_it_is_made_once(tmp_path: Path) -> None:
    root = generate_classification(tmp_path / "data", num_train=5, num_val=5)
    before = {file: file.stat().st_mtime_ns for file in root.rglob("*.jpg")}
    assert generate_classification(tmp_path / "data", num_train=5, num_val=5) == root
    assert {file: file.stat().st_mtime_ns for file in root.rglob("*.jpg")} == before
    with pytest.raises(FileExistsError, match="holds a data set made with"):
        generate_classification(tmp_path / "data", num_train=6, num_val=5)
    with pytest.raises(ValueError, match="num_train must be at least 1, got 0"):
        generate_classification(tmp_path / "other", num_train=0, num_val=5)
