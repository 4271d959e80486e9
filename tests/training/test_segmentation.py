"""The segmentation network's training: whole runs, as small as they can be, and its data formats."""

from pathlib import Path

import pytest
import torch

from mvdet.checkpoints import load_weights
from mvdet.data.shapes.dataset import CLASSES, generate
from mvdet.models import create_model
from mvdet.training.run import train
from mvdet.training.segmentation import (
    SegmentationRecipe,
    SegmentationTask,
    pixel_cross_entropy,
    segmentation_dataset,
    segmentation_task,
)

SMALL = {"backbone": "mobilevit_xxs", "batch_size": 4, "epochs": 1, "workers": 0, "accelerator": "cpu"}


@pytest.fixture(scope="module")
def masks(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return generate(tmp_path_factory.mktemp("data") / "shapes", num_train=9, num_val=5) / "VOC"


def segmentation(data: Path, output: Path, **changes: object) -> SegmentationRecipe:
    options = {"data_format": "voc", "data_root": data, "class_names": ("background", *CLASSES), "size": (64, 64)}
    return SegmentationRecipe(**SMALL | options | {"output": output} | changes)


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


def test_classes_must_agree(masks: Path, tmp_path: Path) -> None:
    ours, other = (
        segmentation_dataset(segmentation(masks, tmp_path, class_names=names), train=False)
        for names in (("background", *CLASSES), ("ground", *CLASSES))
    )
    with pytest.raises(ValueError, match=r"training classes .* differ from validation classes"):
        SegmentationTask(segmentation(masks, tmp_path), ours, other)


def test_a_folder_of_images_and_masks(masks: Path, tmp_path: Path) -> None:
    for kind, source in (("images", "JPEGImages"), ("masks", "SegmentationClass")):
        (tmp_path / kind).mkdir()
        (tmp_path / kind / "val").symlink_to(masks / source)
    (tmp_path / "classes.txt").write_text("\n".join(["background", *CLASSES]))
    recipe = segmentation(tmp_path, tmp_path, data_format="folder", class_names=None)
    dataset = segmentation_dataset(recipe, train=False)
    assert (len(dataset), dataset.class_names) == (14, ("background", *CLASSES))
    with pytest.raises(FileNotFoundError, match="no split 'train'; there are val"):
        segmentation_dataset(
            segmentation(tmp_path, tmp_path, data_format="folder", val_split=("val", "train")), train=False
        )


def test_pixels_that_do_not_count() -> None:
    logits = torch.randn(2, 3, 4, 5)
    masks = torch.randint(0, 3, (2, 4, 5))
    wanted = torch.nn.functional.cross_entropy(logits[:, :, :, :2], masks[:, :, :2])
    masks[:, :, 2:] = 255
    assert torch.allclose(pixel_cross_entropy(logits, masks), wanted)
    assert pixel_cross_entropy(logits, torch.full_like(masks, 255)) == 0
