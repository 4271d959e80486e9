"""The data sets that a detector's recipe names, and what its task makes of a recipe; whole runs: test_run.py."""

from pathlib import Path

import pytest

from mvdet.data.datasets.coco import CocoDetection
from mvdet.data.datasets.detection import DetectionDataset
from mvdet.data.datasets.voc import VocDetection
from mvdet.data.shapes.dataset import CLASSES, generate
from mvdet.training.detection import DetectionTask, SSDLiteRecipe, detection_dataset, detection_task


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return generate(tmp_path_factory.mktemp("data") / "shapes", num_train=3, num_val=2)


def recipe(data: Path, **changes: object) -> SSDLiteRecipe:
    options = {"data_format": "coco", "data_root": data, "size": (64, 96), "backbone": "mobilevit_xxs", "batch_size": 2}
    return SSDLiteRecipe(**options | changes)


@pytest.mark.parametrize(
    ("data_format", "folder", "kind"), [("coco", ".", CocoDetection), ("voc", "VOC", VocDetection)]
)
@pytest.mark.parametrize(("train", "count"), [(True, 3), (False, 2)])
def test_data_formats(
    data_format: str, folder: str, kind: type[DetectionDataset], train: bool, count: int, data: Path
) -> None:
    dataset = detection_dataset(recipe(data / folder, data_format=data_format, class_names=CLASSES), train=train)
    assert isinstance(dataset, kind)
    assert (len(dataset), dataset.class_names, dataset.train) == (count, CLASSES, train)
    assert dataset[0][0].shape == (3, 64, 96)


def test_shapes_are_generated_where_the_recipe_says(data: Path) -> None:
    # the folder's settings are other than the default ones: it is asked for, and refused
    with pytest.raises(FileExistsError):
        detection_dataset(recipe(data, data_format="shapes"), train=True)


def test_what_a_checkpoint_says(data: Path) -> None:
    task = detection_task(recipe(data, output_stride=16, expand_output=True))
    assert isinstance(task, DetectionTask)
    assert set(task.hparams) == {"recipe", "model", "class_names", "category_ids"}
    options = {"size": (64, 96), "output_stride": 16, "expand_output": True}
    assert task.hparams["model"] == {
        "name": "ssdlite_mobilevit_xxs",
        "options": options | {"freeze": False, "freeze_batch_norm": False},
        "size": [64, 96],
    }
    assert (task.hparams["class_names"], task.hparams["category_ids"]) == (list(CLASSES), [1, 2, 3, 4, 5])
