"""`shapes` with masks, as ultralytics' semantic task reads it."""

from pathlib import Path

import pytest
import yaml

from mvdet.data.io.masks import read_mask
from mvdet.data.shapes.dataset import SEMANTIC_CLASSES, generate_semantic

FILE = "cfg/datasets/shapes-semantic.yaml"


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return generate_semantic(tmp_path_factory.mktemp("data") / "semantic", num_train=8, num_val=4)


def test_images_and_masks_are_those_of_shapes(root: Path, small_shapes: Path) -> None:
    for split, count in (("train", 8), ("val", 4)):
        images = sorted((root / "images" / split).iterdir())
        assert len(images) == len(list((root / "masks" / split).iterdir())) == count
        for image in images:
            assert image.read_bytes() == (small_shapes / "images" / split / image.name).read_bytes()
            mask = read_mask(root / "masks" / split / f"{image.stem}.png", len(SEMANTIC_CLASSES))
            wanted = read_mask(small_shapes / f"VOC/SegmentationClass/{image.stem}.png", len(SEMANTIC_CLASSES))
            assert (mask == wanted).all()
            assert 0 in mask
            assert mask.max() > 0


def test_ultralytics_reads_the_same(root: Path) -> None:
    from ultralytics.data.build import build_yolo_dataset
    from ultralytics.utils import DEFAULT_CFG

    data = {
        "names": dict(enumerate(SEMANTIC_CLASSES)),
        "nc": len(SEMANTIC_CLASSES),
        "masks_dir": "masks",
        "channels": 3,
    }
    settings = type(DEFAULT_CFG)(**vars(DEFAULT_CFG) | {"task": "semantic", "imgsz": 64})
    images = build_yolo_dataset(settings, str(root / "images" / "val"), 4, data, mode="val", rect=False)
    assert len(images) == 4
    for index, label in enumerate(images.labels):
        wanted = read_mask(root / "masks/val" / f"{Path(label['im_file']).stem}.png", len(SEMANTIC_CLASSES))
        assert (images.load_mask(index) == wanted).all()


def test_the_yaml_file() -> None:
    content = yaml.safe_load((Path(__file__).parents[3] / FILE).read_text())
    assert content["names"] == dict(enumerate(SEMANTIC_CLASSES))
    assert content["path"] == "shapes-semantic"
    assert 'generate_semantic(yaml["path"])' in content["download"]


@pytest.mark.slow
def test_the_yaml_file_makes_the_data_set(check_dataset) -> None:
    data = check_dataset(FILE)
    assert data["masks_dir"] == "masks"
    for split, count in (("train", 400), ("val", 100)):
        assert len(list(Path(data[split]).glob("*.jpg"))) == count
        assert len(list((Path(data["path"]) / "masks" / split).glob("*.png"))) == count


def test_bad_numbers(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="num_train must be at least 1, got 0"):
        generate_semantic(tmp_path / "x", num_train=0, num_val=1)
    with pytest.raises(FileExistsError, match="not with"):
        generate_semantic(generate_semantic(tmp_path / "y", num_train=1, num_val=1), num_train=2, num_val=1)
