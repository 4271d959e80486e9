"""Whole runs of the classifier's training, as small as they can be."""

from pathlib import Path

import pytest
import torch

from mvdet.checkpoints import load_weights
from mvdet.data.shapes.dataset import generate_classification
from mvdet.models import create_model
from mvdet.training.classification import (
    ClassificationRecipe,
    ClassificationTask,
    classification_dataset,
    classification_task,
)
from mvdet.training.run import train

SMALL = {"backbone": "mobilevit_xxs", "batch_size": 4, "epochs": 1, "workers": 0, "accelerator": "cpu"}


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return generate_classification(tmp_path_factory.mktemp("data") / "shapes", num_train=10, num_val=10)


def classification(data: Path, output: Path, **changes: object) -> ClassificationRecipe:
    options = {"data_format": "folder", "data_root": data, "output": output, "size": (32, 32)}
    return ClassificationRecipe(**SMALL | options | changes)


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


def test_frozen_backbones_stay_as_they_are(pictures: Path, tmp_path: Path) -> None:
    recipe = classification(pictures, tmp_path / "run", freeze=True, ema_momentum=0.0)
    task = classification_task(recipe)
    before = {name: value.clone() for name, value in task.model.backbone.state_dict().items()}
    result = train(recipe, lambda _: task, "x")
    after = torch.load(result.best, weights_only=True)["state_dict"]
    assert all(torch.equal(value, after[f"model.backbone.{name}"]) for name, value in before.items())


def test_classes_must_agree(pictures: Path, tmp_path: Path) -> None:
    (tmp_path / "val" / "circle").mkdir(parents=True)
    (tmp_path / "val" / "circle" / "1.jpg").write_bytes(next(pictures.rglob("*.jpg")).read_bytes())
    train_data = classification_dataset(classification(pictures, tmp_path), train=True)
    val_data = classification_dataset(classification(tmp_path, tmp_path), train=False)
    with pytest.raises(ValueError, match=r"training classes .* differ from validation classes"):
        ClassificationTask(classification(pictures, tmp_path), train_data, val_data)


def test_bad_data_is_what_the_recipe_says(pictures: Path, tmp_path: Path) -> None:
    for number, file in enumerate(sorted(pictures.rglob("*.jpg"))[:2]):
        (tmp_path / "train" / "circle").mkdir(parents=True, exist_ok=True)
        (tmp_path / "train" / "circle" / f"{number}.jpg").write_bytes(file.read_bytes())
    (tmp_path / "train" / "circle" / "broken.jpg").write_bytes(b"nothing")
    with pytest.raises(ValueError, match=r"broken\.jpg"):
        classification_dataset(classification(tmp_path, tmp_path, val_split="val", on_bad_data="error"), train=True)
    assert (
        len(classification_dataset(classification(tmp_path, tmp_path, val_split="val", on_bad_data="skip"), train=True))
        == 2
    )
