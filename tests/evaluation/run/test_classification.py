"""A classifier on a data set whose classes are numbered in another way."""

from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor, nn

from mvdet.data.datasets.classification import ClassificationDataset
from mvdet.data.transforms.classification import eval_transform
from mvdet.evaluation.metrics.classification import classification_metrics
from mvdet.evaluation.run.classification import classify_batch, run_classifier, scored_classes
from mvdet.models.trained import TrainedClassifier


@pytest.fixture
def folders(tmp_path: Path, colours: dict[str, tuple[int, int, int]]) -> Path:
    """blue, green and red; one green picture lies with the red ones."""
    for folder, colour, count in (("red", "red", 2), ("green", "green", 1), ("blue", "blue", 3), ("red", "green", 1)):
        (tmp_path / folder).mkdir(exist_ok=True)
        for n in range(count):
            Image.new("RGB", (20, 30), colours[colour]).save(tmp_path / folder / f"{colour}{n}.png")
    return tmp_path


def test_a_classifiers_classes_are_found_by_name(folders: Path, brightest: type[nn.Module]) -> None:
    dataset = ClassificationDataset(folders, transform=eval_transform)
    classifier = TrainedClassifier(brightest().eval(), ("red", "green", "blue"), (16, 16))
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


def test_the_classifiers_own_crop_and_interpolation(folders: Path, brightest: type[nn.Module]) -> None:
    seen = []

    class Spy(brightest):
        def forward(self, images: Tensor, upsample: bool = False) -> Tensor | dict[str, Tensor]:
            seen.append(images)
            return super().forward(images)

    picture = np.random.default_rng(0).integers(0, 256, (40, 60, 3), dtype=np.uint8)
    file = folders / "red" / "a.png"
    Image.fromarray(picture).save(file)
    dataset = ClassificationDataset(folders, transform=partial(eval_transform, interpolation="bilinear"))
    place = [record.file for record in dataset.records].index(str(file))
    classifier = TrainedClassifier(Spy().eval(), ("red", "green", "blue"), (16, 16), "bicubic", 20)
    for size, resize in ((None, 20), ((8, 8), 10)):
        seen.clear()
        run_classifier(classifier, dataset, size=size)
        side = 16 if size is None else 8
        wanted = eval_transform(side, side, interpolation="bicubic", resize=resize)
        assert torch.equal(torch.cat(seen)[place], wanted(torch.from_numpy(picture).permute(2, 0, 1)) / 255)
    assert dataset[0][0].shape == (3, 256, 256)  # its own size and transform are as they were


def test_nan_is_no_answer(folders: Path) -> None:
    class Broken(nn.Module):
        def forward(self, images: Tensor) -> Tensor:
            return torch.full((len(images), 3), float("nan"))

    dataset = ClassificationDataset(folders, transform=eval_transform)
    with pytest.raises(ValueError, match="the classifier's outputs are NaN"):
        run_classifier(TrainedClassifier(Broken(), ("red", "green", "blue"), (16, 16)), dataset)


@pytest.mark.parametrize(("classes", "kept"), [(3, 3), (8, 5)])
def test_at_most_five_classes_best_first(classes: int, kept: int) -> None:
    logits = torch.arange(float(classes)).flip(0)[None]

    class Fixed(nn.Module):
        def forward(self, images: Tensor) -> Tensor:
            return logits

    numbers, scores = classify_batch(Fixed(), torch.zeros(1, 3, 8, 8, dtype=torch.uint8), "cpu")
    assert numbers == [list(range(kept))]
    assert scores[0] == pytest.approx(logits.softmax(dim=1)[0, :kept].tolist())
    named = scored_classes(numbers[0], scores[0], [f"c{n}" for n in range(classes)])
    assert named[0] == {"label": 0, "class_name": "c0", "score": round(scores[0][0], 4)}
