"""Fixtures: checkpoints of runs that are as small as they can be, and the data that they were trained on."""

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import nn

from mvdet.data.io.images import read_image
from mvdet.data.shapes.dataset import CLASSES, generate, generate_classification
from mvdet.data.transforms.classification import eval_transform
from mvdet.models.trained import find_model
from mvdet.training.classification import ClassificationRecipe, classification_task
from mvdet.training.run import RunResult, train
from mvdet.training.segmentation import SegmentationRecipe, segmentation_task

__all__ = ["MASK_CLASSES", "classifier_run", "image_folders", "lively", "mask_folder", "segmenter_run"]

COMMON = {"backbone": "mobilevit_xxs", "size": (64, 64), "batch_size": 4, "epochs": 1, "workers": 0}
COMMON |= {"accelerator": "cpu", "warmup_steps": 1}
MASK_CLASSES = ("background", *CLASSES)


@pytest.fixture(scope="session")
def image_folders(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Some forty images of the five shapes, in ImageNet's layout."""
    return generate_classification(tmp_path_factory.mktemp("data") / "classes", num_train=12, num_val=14)


@pytest.fixture(scope="session")
def mask_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """VOC's layout, three images to evaluate."""
    return generate(tmp_path_factory.mktemp("data") / "shapes", num_train=4, num_val=3) / "VOC"


@pytest.fixture(scope="session")
def classifier_run(image_folders: Path, tmp_path_factory: pytest.TempPathFactory) -> RunResult:
    output = tmp_path_factory.mktemp("classifier") / "run"
    recipe = ClassificationRecipe(data_format="folder", data_root=image_folders, output=output, **COMMON)
    return train(recipe, classification_task, "classifier")


@pytest.fixture(scope="session")
def segmenter_run(mask_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> RunResult:
    output = tmp_path_factory.mktemp("segmenter") / "run"
    options = {"data_format": "voc", "train_split": ("train",), "val_split": ("val",), "class_names": MASK_CLASSES}
    options |= {"aspp_channels": 16, "atrous_rates": (1, 2, 3), "data_root": mask_folder, "output": output}
    return train(SegmentationRecipe(**options | COMMON), segmentation_task, "deeplabv3")


@pytest.fixture(scope="session")
def lively(
    spread_out: Callable[..., None],
    tmp_path_factory: pytest.TempPathFactory,
) -> Callable[[Path, Path], Path]:
    """A run's checkpoint with weights under which the answer depends on the image: after one epoch it does not."""

    def copy(checkpoint: Path, images: Path) -> Path:
        content = torch.load(checkpoint, weights_only=True)
        model = find_model(checkpoint).model
        transform = eval_transform(64, 64)
        pixels = [torch.from_numpy(read_image(file)).permute(2, 0, 1) for file in sorted(images.rglob("*.jpg"))[:12]]
        inputs = torch.stack([transform(one) for one in pixels]) / 255
        for layer in model.modules():
            if isinstance(layer, nn.BatchNorm2d):
                layer.momentum = 1.0  # its statistics become those of these images
        with torch.no_grad():
            model.train()(inputs)
        last = model.head if isinstance(model.head, nn.Linear) else model.head.classifier
        spread_out(model.eval(), last, inputs)
        content["state_dict"] = {f"model.{key}": value for key, value in model.state_dict().items()}
        path = tmp_path_factory.mktemp("lively") / "best.ckpt"
        torch.save(content, path)
        return path

    return copy
