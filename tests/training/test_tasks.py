"""Whole runs of the classifier's and the segmentation network's training, as small as they can be."""

from pathlib import Path

import pytest
import torch

from mvdet.checkpoints import load_weights
from mvdet.data.shapes.dataset import CLASSES, generate, generate_classification
from mvdet.models import create_model
from mvdet.training.classification import (
    ClassificationRecipe,
    ClassificationTask,
    classification_dataset,
    classification_task,
)
from mvdet.training.run import train
from mvdet.training.segmentation import SegmentationRecipe, SegmentationTask, segmentation_task

SMALL = {"backbone": "mobilevit_xxs", "batch_size": 4, "epochs": 1, "workers": 0, "accelerator": "cpu"}


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return generate_classification(tmp_path_factory.mktemp("data") / "shapes", num_train=10, num_val=10)


@pytest.fixture(scope="module")
def masks(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return generate(tmp_path_factory.mktemp("data") / "shapes", num_train=9, num_val=5) / "VOC"


def classification(data: Path, output: Path, **changes: object) -> ClassificationRecipe:
    options = {"data_format": "folder", "data_root": data, "output": output, "size": (32, 32)}
    return ClassificationRecipe(**SMALL | options | changes)


def segmentation(data: Path, output: Path, **changes: object) -> SegmentationRecipe:
    options = {"data_format": "voc", "data_root": data, "class_names": ("background", *CLASSES), "size": (64, 64)}
    return SegmentationRecipe(**SMALL | options | {"output": output} | changes)


def test_a_classifier(pictures: Path, tmp_path: Path) -> None:
    recipe = classification(pictures, tmp_path / "run", mixup=0.2, cutmix=1.0, random_erasing=0.5)
    result = train(recipe, classification_task, "x")
    assert result.metrics.keys() == {"top1", "top5"}
    assert 0 <= result.metrics["top1"] <= result.metrics["top5"] == 1  # five classes
    model = create_model("mobilevit_xxs", num_classes=5)
    load_weights(model, result.best)

    # the accuracy, counted by hand
    dataset = classification_dataset(recipe, train=False)
    with torch.inference_mode():
        right = [int(model.eval()(image[None] / 255).argmax()) == int(target["label"]) for image, target in dataset]
    assert result.metrics["top1"] == pytest.approx(sum(right) / len(right))


@pytest.mark.parametrize("backbone", ["mobilevit_xxs", "mobilevitv2_050"])
def test_a_segmentation_network(backbone: str, masks: Path, tmp_path: Path) -> None:
    result = train(segmentation(masks, tmp_path / "run", backbone=backbone), segmentation_task, "x")
    assert result.metrics.keys() == {"mIoU", "pixel_accuracy"}
    assert 0 < result.metrics["pixel_accuracy"] < 1
    model = create_model(f"deeplabv3_{backbone}", num_classes=6)
    load_weights(model, result.best)
    assert (model.aux_head is not None) == (backbone == "mobilevitv2_050")


@pytest.mark.parametrize(("aux_loss", "factor"), [(None, 1.0), (0.0, 10.0), (0.2, 10.0)])
def test_heads_learn_at_their_own_rate(aux_loss: float | None, factor: float, masks: Path, tmp_path: Path) -> None:
    recipe = segmentation(masks, tmp_path, aux_loss=aux_loss, head_learning_rate_factor=factor)
    task = segmentation_task(recipe)
    assert (task.model.aux_head is not None) == bool(aux_loss)
    factors = {id(p): f for part, f in task.learning_rate_factors() for p in part.parameters()}
    for name, parameter in task.model.named_parameters():
        assert factors.get(id(parameter), 1.0) == (1.0 if name.startswith("backbone.") else factor)


def test_frozen_backbones_stay_as_they_are(pictures: Path, tmp_path: Path) -> None:
    recipe = classification(pictures, tmp_path / "run", freeze=True, ema_momentum=0.0)
    task = classification_task(recipe)
    before = {name: value.clone() for name, value in task.model.backbone.state_dict().items()}
    result = train(recipe, lambda _: task, "x")
    after = torch.load(result.best, weights_only=True)["state_dict"]
    assert all(torch.equal(value, after[f"model.backbone.{name}"]) for name, value in before.items())


@pytest.mark.parametrize("kind", [ClassificationTask, SegmentationTask])
def test_classes_must_agree(kind: type, pictures: Path, masks: Path, tmp_path: Path) -> None:
    (tmp_path / "val" / "circle").mkdir(parents=True)
    (tmp_path / "val" / "circle" / "1.jpg").write_bytes(next(pictures.rglob("*.jpg")).read_bytes())
    if kind is ClassificationTask:
        train_data = classification_dataset(classification(pictures, tmp_path), train=True)
        val_data = classification_dataset(classification(tmp_path, tmp_path), train=False)
        with pytest.raises(ValueError, match=r"training classes .* differ from validation classes"):
            ClassificationTask(classification(pictures, tmp_path), train_data, val_data)
    else:
        ours, other = (
            segmentation_task(segmentation(masks, tmp_path, class_names=names)).val_data
            for names in (("background", *CLASSES), ("ground", *CLASSES))
        )
        with pytest.raises(ValueError, match=r"training classes .* differ from validation classes"):
            SegmentationTask(segmentation(masks, tmp_path), ours, other)
