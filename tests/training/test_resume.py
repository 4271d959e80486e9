"""Which checkpoint a run goes on from, and that it then does what it would have done without stopping."""

import csv
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import pytorch_lightning as pl
import torch
from pytorch_lightning.callbacks import ModelCheckpoint

from mvdet.data.shapes.dataset import generate, generate_classification
from mvdet.training.classification import ClassificationRecipe, classification_task
from mvdet.training.detection import SSDLiteRecipe, detection_task
from mvdet.training.loaders import train_loader
from mvdet.training.resume import (
    LAST,
    EpochLoader,
    close_finished_epoch,
    epochs_done,
    find_checkpoint,
    require_same_network,
)
from mvdet.training.run import train

Make = Callable[..., Any]
DIFFERS = f"pytorch-lightning {pl.__version__} is not what mvdet/training/resume.py was checked with: see its docstring"


def save(folder: Path, name: str, age: int) -> Path:
    path = folder / name
    torch.save({"state_dict": {"a": torch.zeros(1000)}}, path)
    os.utime(path, (1e9 - age, 1e9 - age))
    return path


def truncate(path: Path) -> None:
    times = path.stat().st_atime, path.stat().st_mtime
    path.write_bytes(path.read_bytes()[:-500])
    os.utime(path, times)


def test_auto_takes_the_newest_that_can_be_read(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    older, newer, last = (save(tmp_path, name, age) for name, age in (("a.ckpt", 3), ("b.ckpt", 2), ("last.ckpt", 1)))
    assert find_checkpoint(tmp_path, "auto") == last
    truncate(last)
    assert find_checkpoint(tmp_path, "auto") == newer
    assert "last.ckpt: left aside" in caplog.text
    truncate(newer)
    assert find_checkpoint(tmp_path, "auto") == older
    truncate(older)
    with pytest.raises(ValueError, match=r"no checkpoint in .* can be read: last.ckpt: .*; b.ckpt: .*; a.ckpt: "):
        find_checkpoint(tmp_path, "auto")


def test_nothing_to_resume(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    assert find_checkpoint(tmp_path, None) is None
    assert find_checkpoint(tmp_path / "nowhere", "auto") is None
    assert "the run starts anew" in caplog.text


def test_a_file(tmp_path: Path) -> None:
    path = save(tmp_path, "a.ckpt", 0)
    assert find_checkpoint(tmp_path / "elsewhere", str(path)) == path
    truncate(path)
    with pytest.raises(ValueError, match=r"a.ckpt: .*truncated"):
        find_checkpoint(tmp_path, str(path))
    with pytest.raises(FileNotFoundError, match=r"checkpoint not found: b.ckpt"):
        find_checkpoint(tmp_path, "b.ckpt")


def run(loader: EpochLoader, epoch: int, stop: int | None = None) -> tuple[list, dict]:
    """The batches of an epoch up to one, and the state after it."""
    loader.set_epoch(epoch)
    batches = []
    for images, targets in loader:
        batches.append((int(images[0].max()), images.shape[-1], [int(t["image_id"]) for t in targets]))
        if len(batches) == stop:
            break
    return batches, loader.state_dict()


@pytest.mark.parametrize("sampler", ["fixed", "multi-scale"])
@pytest.mark.parametrize("workers", [0, 2])
def test_going_on_after_any_batch(sampler: str, workers: int, numbers: Make, recipe: Make) -> None:
    options = recipe(sampler=sampler, workers=workers)
    whole = {epoch: run(train_loader(numbers(23), options), epoch)[0] for epoch in (0, 1, 2)}
    for stop in range(1, len(whole[1]) + 1):
        _, state = run(train_loader(numbers(23), options), 1, stop)
        loader = train_loader(numbers(23), options)
        loader.set_epoch(1)
        loader.load_state_dict(state)
        assert len(loader) == len(whole[1])
        assert run(loader, 1)[0] == whole[1][stop:]
        assert run(loader, 2)[0] == whole[2]


def test_a_state_of_an_epochs_end_leaves_the_next_epoch_alone(numbers: Make, recipe: Make) -> None:
    """Lightning has counted the epoch as over when it saved, and asks for the length of the next one."""
    options = recipe(sampler="multi-scale")
    _, state = run(train_loader(numbers(23), options), 3)
    loader = train_loader(numbers(23), options)
    wanted = run(train_loader(numbers(23), options), 4)[0]
    loader.set_epoch(4)
    loader.load_state_dict(state)
    assert len(loader) == len(wanted)
    assert run(loader, 4)[0] == wanted


class Noting(pl.LightningModule):
    """Notes the batches that it is trained on, and which epoch the loader was asked for."""

    def __init__(self, loader: EpochLoader, closes: bool = True) -> None:
        super().__init__()
        self.loader, self.closes = loader, closes
        self.weight = torch.nn.Parameter(torch.zeros(()))
        self.seen: list[tuple[int, list[int]]] = []
        self.asked: list[int] = []

    def train_dataloader(self) -> EpochLoader:
        self.asked.append(epochs_done(self.trainer))
        self.loader.set_epoch(self.asked[-1])
        return self.loader

    def on_train_start(self) -> None:
        if self.closes:
            close_finished_epoch(self.trainer)

    def training_step(self, batch: Any, batch_idx: int) -> torch.Tensor:
        images, targets = batch
        self.seen.append((int(images.max()), [int(target["image_id"]) for target in targets]))
        return self.weight.square()

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.SGD(self.parameters(), 0.1)


RUN: dict[str, Any] = {
    "model": {"name": "ssdlite_mobilevit_s", "options": {"output_stride": 32}, "size": [64, 64]},
    "class_names": ["cat", "dog"],
}


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"class_names": ["cat"]}, r"the classes there: 2, cat, dog; of this run: 1, cat$"),
        ({"class_names": ["dog", "cat"]}, r"the classes there: 2, cat, dog; of this run: 2, dog, cat$"),
        ({"model": {"name": "mobilevit_s"}}, r"the network there: ssdlite_mobilevit_s; of this run: mobilevit_s$"),
        (
            {"model": RUN["model"] | {"options": {"output_stride": 16}}},
            r"the network's output_stride there: 32; of this run: 16$",
        ),
        ({"epochs": 2}, r"it is in epoch 4, of 2 epochs$"),
    ],
)
def test_a_checkpoint_of_another_run(changes: dict[str, Any], message: str, tmp_path: Path) -> None:
    path = tmp_path / "a.ckpt"
    torch.save({"hyper_parameters": RUN, "loops": {}, "epoch": 3}, path)
    current, epochs = RUN | changes, changes.get("epochs", 3)
    require_same_network(path, RUN, 3)
    with pytest.raises(ValueError, match=rf"^cannot go on from {path}: {message}"):
        require_same_network(path, current, epochs)


@pytest.mark.parametrize("content", [[1], {"state_dict": {}}, {"hyper_parameters": {"lr": 1}, "loops": {}}])
def test_a_file_that_is_of_no_run(content: object, tmp_path: Path) -> None:
    torch.save(content, tmp_path / "a.ckpt")
    with pytest.raises(ValueError, match=r"a.ckpt is no checkpoint of a run of these scripts; --weights takes"):
        require_same_network(tmp_path / "a.ckpt", RUN, 3)


def trainer(folder: Path, **options: Any) -> pl.Trainer:
    """Three epochs with a checkpoint after every step, as `mvdet.training.run.train` calls Lightning."""
    quiet = {"logger": False, "enable_progress_bar": False, "enable_model_summary": False, "num_sanity_val_steps": 0}
    every = ModelCheckpoint(folder, "{step}", every_n_train_steps=1, save_top_k=-1)
    loading = {"use_distributed_sampler": False, "reload_dataloaders_every_n_epochs": 1}
    return pl.Trainer(max_epochs=3, accelerator="cpu", callbacks=[every], **quiet, **loading, **options)


def test_lightning_has_what_resuming_needs(tmp_path: Path) -> None:
    loop = trainer(tmp_path).fit_loop
    assert hasattr(loop.epoch_progress.current, "processed"), DIFFERS
    assert isinstance(getattr(type(loop.epoch_loop), "restarted_on_train_batch_end", None), property), DIFFERS
    assert hasattr(loop.epoch_loop.batch_progress, "is_last_batch"), DIFFERS
    assert hasattr(loop.epoch_loop.batch_progress.current, "completed"), DIFFERS
    assert LAST == "last.ckpt", DIFFERS


@pytest.mark.filterwarnings("ignore:The dirpath has changed")
@pytest.mark.parametrize(("seed", "lengths"), [(0, [5, 4, 1]), (5, [3, 4, 5])])
def test_lightning_goes_on_after_any_step(
    seed: int, lengths: list[int], tmp_path: Path, numbers: Make, recipe: Make
) -> None:
    """Epochs differ in length, which Lightning does not think of: every batch comes once, in its own epoch."""

    def noting(closes: bool = True) -> Noting:
        return Noting(train_loader(numbers(23), recipe(sampler="multi-scale", seed=seed)), closes)

    whole = noting()
    trainer(tmp_path).fit(whole)
    assert [whole.loader.batch_sampler.num_batches(epoch) for epoch in range(3)] == lengths
    assert [epoch for epoch, _ in whole.seen] == [epoch for epoch in range(3) for _ in range(lengths[epoch])], DIFFERS
    assert whole.asked == [0, 1, 2], DIFFERS
    for done in range(1, sum(lengths)):
        resumed = noting()
        trainer(tmp_path / str(done)).fit(resumed, ckpt_path=tmp_path / f"step={done}.ckpt")
        assert resumed.seen == whole.seen[done:], f"after step {done}: {DIFFERS}"
    if lengths[0] < lengths[1]:
        alone = noting(closes=False)
        trainer(tmp_path / "alone").fit(alone, ckpt_path=tmp_path / f"step={lengths[0]}.ckpt")
        assert alone.seen != whole.seen[lengths[0] :], f"close_finished_epoch is not needed any more: {DIFFERS}"


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
        patch.setattr("mvdet.training.trainer.ModelCheckpoint", KeepingAll)
        steps = start(kind, data, whole, sampler=sampler)
    losses = {int(row["step"]): row["loss"] for row in steps}
    kept = {int(file.stem.removeprefix("step=")): file for file in whole.glob("checkpoints/step=*.ckpt")}
    assert set(kept) == {step + 1 for step in losses}
    first_of_second = next(int(row["step"]) for row in steps if int(row["epoch"]) == 1)
    last = torch.load(whole / "checkpoints" / "last.ckpt", weights_only=True)["state_dict"]
    # in the middle of the first epoch, at its end, in the middle of the second; named by how many steps are done
    points = {1, first_of_second, first_of_second + 2} if sampler == "multi-scale" else {first_of_second + 2}
    for done in sorted(points):
        resumed = tmp_path / f"resumed{done}"
        (resumed / "checkpoints").mkdir(parents=True)
        shutil.copy(kept[done], resumed / "checkpoints")
        rows = start(kind, data, resumed, sampler=sampler, resume="auto")
        assert {int(row["step"]): row["loss"] for row in rows} == {s: v for s, v in losses.items() if s >= done}
        ended = torch.load(resumed / "checkpoints" / "last.ckpt", weights_only=True)["state_dict"]
        assert all(torch.equal(value, ended[key]) for key, value in last.items())
