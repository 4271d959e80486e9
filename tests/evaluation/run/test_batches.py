"""Classifiers and segmentation networks on data sets whose classes are numbered in another way."""

from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor, nn

from mvdet.data.datasets.classification import ClassificationDataset
from mvdet.data.datasets.masks import FolderSegmentation
from mvdet.data.io.masks import read_mask, write_mask
from mvdet.data.transforms.classification import eval_transform
from mvdet.data.transforms.segmentation import eval_transform as mask_transform
from mvdet.evaluation.metrics.classification import classification_metrics
from mvdet.evaluation.run.class_matching import match_names, match_numbers
from mvdet.evaluation.run.classification import run_classifier
from mvdet.evaluation.run.segmentation import run_segmenter
from mvdet.models.trained import TrainedClassifier, TrainedSegmenter


class Brightest(nn.Module):
    """The logits are the mean red, green and blue: of pictures, or of every pixel."""

    def __init__(self, pixels: bool = False) -> None:
        super().__init__()
        self.pixels = pixels

    def forward(self, images: Tensor, upsample: bool = False) -> Tensor | dict[str, Tensor]:
        return {"out": 9 * images} if self.pixels else 9 * images.mean(dim=(2, 3))


COLOURS = {"red": (200, 20, 10), "green": (20, 200, 10), "blue": (10, 20, 200)}


@pytest.fixture
def folders(tmp_path: Path) -> Path:
    """blue, green and red; one green picture lies with the red ones."""
    for folder, colour, count in (("red", "red", 2), ("green", "green", 1), ("blue", "blue", 3), ("red", "green", 1)):
        (tmp_path / folder).mkdir(exist_ok=True)
        for n in range(count):
            Image.new("RGB", (20, 30), COLOURS[colour]).save(tmp_path / folder / f"{colour}{n}.png")
    return tmp_path


def test_a_classifiers_classes_are_found_by_name(folders: Path) -> None:
    dataset = ClassificationDataset(folders, transform=eval_transform)
    classifier = TrainedClassifier(Brightest().eval(), ("red", "green", "blue"), (16, 16))
    found = run_classifier(classifier, dataset, batch_size=2)
    metrics = classification_metrics(found, dataset.class_names)
    assert dataset.class_names == ("blue", "green", "red")
    assert metrics.top1 == 6 / 7
    assert metrics.top5 == 1
    assert {name: one.accuracy for name, one in metrics.per_class.items()} == {"blue": 1, "green": 1, "red": 2 / 3}
    assert [Path(one.file).name for one in found if one.label != one.classes[0]] == ["green0.png"]
    assert found[0].scores == tuple(sorted(found[0].scores, reverse=True))
    # The same outputs, but of classes whose order alone is known: blue is taken for red.
    by_order = run_classifier(replace(classifier, has_names=False), dataset)
    assert classification_metrics(by_order, dataset.class_names).top1 == pytest.approx(1 / 7)


def test_the_classifiers_own_crop_and_interpolation(folders: Path) -> None:
    seen = []

    class Spy(Brightest):
        def forward(self, images: Tensor, upsample: bool = False) -> Tensor | dict[str, Tensor]:
            seen.append(images)
            return super().forward(images)

    picture = np.random.default_rng(0).integers(0, 256, (40, 60, 3), dtype=np.uint8)
    file = folders / "red" / "a.png"
    Image.fromarray(picture).save(file)
    dataset = ClassificationDataset(folders, transform=partial(eval_transform, interpolation="bilinear"))
    place = [name for name, _ in dataset.files].index(str(file))
    classifier = TrainedClassifier(Spy().eval(), ("red", "green", "blue"), (16, 16), "bicubic", 20)
    for size, resize in ((None, 20), ((8, 8), 10)):
        seen.clear()
        run_classifier(classifier, dataset, size=size)
        side = 16 if size is None else 8
        wanted = eval_transform(side, side, interpolation="bicubic", resize=resize)
        assert torch.equal(torch.cat(seen)[place], wanted(torch.from_numpy(picture).permute(2, 0, 1)) / 255)
    assert dataset[0][0].shape == (3, 256, 256)  # its own size and transform are as they were


def test_messages_name_both_sides() -> None:
    classifier = TrainedClassifier(Brightest(), ("red", "green", "blue"), (16, 16))
    with pytest.raises(ValueError, match="the classifier has 3 classes, the data set 2: red, green, blue; a, b"):
        match_numbers(classifier, ("a", "b"))
    with pytest.raises(ValueError, match=r"classes that the classifier does not have: white; .* are red, green, white"):
        match_numbers(classifier, ("red", "green", "white"))
    with pytest.raises(ValueError, match=r"class29 and 970 more; the data set's are x"):
        match_names([f"class{n}" for n in range(1000)], ["x"], model="classifier")


def test_nan_is_no_answer(folders: Path) -> None:
    class Broken(nn.Module):
        def forward(self, images: Tensor) -> Tensor:
            return torch.full((len(images), 3), float("nan"))

    dataset = ClassificationDataset(folders, transform=eval_transform)
    with pytest.raises(ValueError, match="the classifier's outputs are NaN"):
        run_classifier(TrainedClassifier(Broken(), ("red", "green", "blue"), (16, 16)), dataset)


@pytest.fixture
def masks(tmp_path: Path) -> FolderSegmentation:
    """Two pictures of different sizes, red, green and blue in stripes, with their masks; blue is 0, red 1, green 2."""
    for kind in ("images", "masks"):
        (tmp_path / kind).mkdir()
    for name, height, width in (("a", 24, 30), ("b", 40, 24)):
        labels = np.arange(width, dtype=np.uint8)[None].repeat(height, axis=0) * 3 // width
        write_mask(tmp_path / "masks" / f"{name}.png", labels.astype(np.uint8))
        colours = np.array([COLOURS["blue"], COLOURS["red"], COLOURS["green"]], np.uint8)
        Image.fromarray(colours[labels]).save(tmp_path / "images" / f"{name}.png")
    return FolderSegmentation(
        tmp_path / "images", tmp_path / "masks", ("blue", "red", "green"), train=False, transform=mask_transform
    )


@pytest.mark.parametrize("sliding_window", [False, True])
def test_a_segmentation_networks_classes_are_found_by_name(masks: FolderSegmentation, sliding_window: bool) -> None:
    segmenter = TrainedSegmenter(Brightest(pixels=True).eval(), ("red", "green", "blue"), (24, 24))
    found = list(run_segmenter(segmenter, masks, sliding_window=sliding_window))
    assert [one.record.image_id for one in found] == [1, 2]
    for one in found:
        wrong = one.labels != one.mask
        assert one.labels.shape == read_mask(one.record.mask_file, 3).shape
        assert float(wrong.float().mean()) < 0.05  # where stripes meet, the picture was resized
        if sliding_window:
            assert not wrong.any()
    assert (masks.size, masks.transform) == ((512, 512), mask_transform)


def test_data_sets_that_cannot_be_evaluated(masks: FolderSegmentation) -> None:
    segmenter = TrainedSegmenter(Brightest(pixels=True), ("red", "green", "blue"), (24, 24))
    masks.transform = None
    with pytest.raises(ValueError, match="whole images are resized by the data set's transform, it has none"):
        next(run_segmenter(segmenter, masks))
    masks.train = True
    with pytest.raises(ValueError, match="masks are evaluated on a data set made with train=False"):
        next(run_segmenter(segmenter, masks))
