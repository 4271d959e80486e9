from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from mvdet.class_names import VOC_SEGMENTATION_CLASSES
from mvdet.data.datasets.coco import CocoDetection, coco_split
from mvdet.data.datasets.voc import VocSegmentation
from mvdet.data.io.masks import voc_palette
from mvdet.data.shapes.dataset import CLASSES, render

SHAPES = ("background", *CLASSES)


def write(folder: Path, names: tuple[str, ...] = ("one", "two"), masks: str = "SegmentationClass") -> Path:
    """A VOC folder of 8 x 6 images with VOC's palette and border."""
    for name in ("JPEGImages", masks, "ImageSets/Segmentation"):
        (folder / name).mkdir(parents=True, exist_ok=True)
    for number, name in enumerate(names):
        Image.new("RGB", (8, 6)).save(folder / f"JPEGImages/{name}.jpg")
        values = np.zeros((6, 8), dtype=np.uint8)
        values[:, :3], values[:, 3] = 20 - number, 255
        picture = Image.fromarray(values).convert("P")
        picture.putpalette(voc_palette())
        picture.save(folder / masks / f"{name}.png")
    (folder / "ImageSets/Segmentation/train.txt").write_text("\n".join(names))
    return folder


def test_vocs_masks(tmp_path: Path) -> None:
    dataset = VocSegmentation(write(tmp_path), "train", train=False, on_bad_data="error")
    assert dataset.class_names == VOC_SEGMENTATION_CLASSES
    assert (len(VOC_SEGMENTATION_CLASSES), VOC_SEGMENTATION_CLASSES[20]) == (21, "tvmonitor")
    assert [target["image_id"].item() for _, target in dataset] == [1, 2]
    assert dataset[1][1]["mask"][2].tolist() == [19, 19, 19, 255, 0, 0, 0, 0]


def test_other_folders_and_lists(tmp_path: Path) -> None:
    write(tmp_path / "VOC2007", ("one",), masks="SegmentationClassAug")
    write(tmp_path / "VOCdevkit/VOC2012", ("three",), masks="SegmentationClassAug")
    sets = [("VOC2007", "train"), ("VOC2012", "train")]
    dataset = VocSegmentation(tmp_path, image_sets=sets, masks="SegmentationClassAug", train=True)
    assert [Path(record.file).name for record in dataset.records] == ["one.jpg", "three.jpg"]
    assert [record.image_id for record in dataset.records] == [1, 2]
    with pytest.raises(FileNotFoundError, match=r"VOC2007 has no SegmentationClass(;|$)"):
        VocSegmentation(tmp_path / "VOC2007", "train", train=True)
    with pytest.raises(FileNotFoundError, match=r"Segmentation/val.txt: no such image list; there are train"):
        VocSegmentation(tmp_path / "VOC2007", "val", masks="SegmentationClassAug", train=True)
    with pytest.raises(ValueError, match="give either split or image_sets, got None and None"):
        VocSegmentation(tmp_path, train=True)


def test_a_missing_mask(tmp_path: Path) -> None:
    (write(tmp_path) / "SegmentationClass/two.png").unlink()
    with pytest.raises(ValueError, match=r"missing mask: image 2: .*/SegmentationClass/two\.png: no such file"):
        VocSegmentation(tmp_path, "train", train=True, on_bad_data="error")
    assert len(VocSegmentation(tmp_path, "train", train=True)) == 1


def test_a_class_too_many(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"one\.png: has the class numbers 20 .*, allowed are 0 to 19 and 255"):
        VocSegmentation(
            write(tmp_path), "train", class_names=VOC_SEGMENTATION_CLASSES[:20], train=True, on_bad_data="error"
        )


def test_shapes(small_shapes: Path) -> None:
    dataset = VocSegmentation(small_shapes / "VOC", "val", class_names=SHAPES, train=False, on_bad_data="error")
    assert len(dataset) == 4
    coco = CocoDetection(*coco_split(small_shapes, "val"), train=False)
    for index, (image, target) in enumerate(dataset):
        _, instances = render(index, split="val")
        wanted = torch.zeros(image.shape[1:], dtype=torch.int64)
        for instance in instances:
            wanted[torch.from_numpy(instance.mask)] = instance.label + 1
        assert torch.equal(target["mask"], wanted)
        assert torch.equal(image, coco[index][0])
        assert {SHAPES[number] for number in target["mask"].unique()} - {"background"} == {
            coco.class_names[label - 1] for label in coco[index][1]["labels"]
        }
