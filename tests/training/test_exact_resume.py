"""A run that goes on from a checkpoint in the middle of an epoch does what it would have done without stopping."""

import csv
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from pytorch_lightning.callbacks import ModelCheckpoint

from mvdet.data.shapes.dataset import generate, generate_classification
from mvdet.training.classification import ClassificationRecipe, classification_task
from mvdet.training.detection import SSDLiteRecipe, detection_task
from mvdet.training.run import train


@pytest.fixture(scope="module")
def detection_data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return generate(tmp_path_factory.mktemp("data") / "shapes", num_train=24, num_val=2)


@pytest.fixture(scope="module")
def classification_data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return generate_classification(tmp_path_factory.mktemp("data") / "shapes", num_train=10, num_val=10)


def common(output: Path) -> dict:
    sizes = {"size": (64, 64), "min_size": (32, 32), "max_size": (96, 96), "num_sizes": 3}
    run = {"batch_size": 6, "epochs": 2, "workers": 2, "accelerator": "cpu", "checkpoint_every": 1, "seed": 3}
    return {"output": output, "backbone": "mobilevit_xxs", "evaluate_every": 2, **sizes, **run}


def start(kind: str, data: Path, output: Path, **changes: object) -> list[dict[str, str]]:
    """Run, and return what was logged of each step."""
    if kind == "classifier":
        # dropout, mixing and augmentation all draw random numbers
        options = (
            common(output) | {"data_format": "folder", "mixup": 0.2, "cutmix": 1.0, "rand_augment": True} | changes
        )
        train(ClassificationRecipe(data_root=data, **options), classification_task, "x")
    else:
        options = common(output) | {"data_format": "coco"} | changes
        train(SSDLiteRecipe(data_root=data, **options), detection_task, "x")
    rows = []
    for file in sorted(output.glob("logs/version_*/metrics.csv")):
        with file.open() as lines:
            rows += [row for row in csv.DictReader(lines) if row.get("loss")]
    return rows


class KeepingAll(ModelCheckpoint):
    """A run keeps its two newest checkpoints; here all of them."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options | ({"save_top_k": -1} if "save_top_k" in options else {}))


@pytest.mark.slow
@pytest.mark.parametrize(
    ("kind", "sampler"), [("classifier", "multi-scale"), ("ssdlite", "multi-scale"), ("ssdlite", "fixed")]
)
def test_the_same_losses_from_any_step_on(
    kind: str,
    sampler: str,
    detection_data: Path,
    classification_data: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    data = classification_data if kind == "classifier" else detection_data
    whole = tmp_path / "whole"
    with monkeypatch.context() as patch:
        patch.setattr("mvdet.training.run.ModelCheckpoint", KeepingAll)
        steps = start(kind, data, whole, sampler=sampler)
    losses = {int(row["step"]): row["loss"] for row in steps}
    kept = {int(file.stem.removeprefix("step=")): file for file in whole.glob("checkpoints/step=*.ckpt")}
    assert set(kept) == {step + 1 for step in losses}
    first_of_second = next(int(row["step"]) for row in steps if int(row["epoch"]) == 1)
    last = torch.load(whole / "checkpoints" / "last.ckpt", weights_only=True)["state_dict"]
    # in the middle of the first epoch, at its end, in the middle of the second; named by how many steps are done
    for done in sorted({1, first_of_second, first_of_second + 2}):
        resumed = tmp_path / f"resumed{done}"
        (resumed / "checkpoints").mkdir(parents=True)
        shutil.copy(kept[done], resumed / "checkpoints")
        rows = start(kind, data, resumed, sampler=sampler, resume="auto")
        assert {int(row["step"]): row["loss"] for row in rows} == {s: v for s, v in losses.items() if s >= done}
        ended = torch.load(resumed / "checkpoints" / "last.ckpt", weights_only=True)["state_dict"]
        assert all(torch.equal(value, ended[key]) for key, value in last.items())
