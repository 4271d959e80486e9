"""Under Lightning: whole epochs, and a resumed run trains what is left."""

from pathlib import Path
from typing import Any

import pytest
import pytorch_lightning as pl
import torch
from lightning_fabric.utilities.data import _set_sampler_epoch
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset

from mvdet.data import MultiScaleBatchSampler

EPOCHS = 3


class Echo(Dataset):
    def __getitem__(self, item: tuple[int, int, int]) -> Tensor:
        return torch.tensor(item)


def make_sampler() -> MultiScaleBatchSampler:
    return MultiScaleBatchSampler(
        60, base_size=(8, 8), base_batch_size=4, min_size=(4, 4), max_size=(16, 16), num_sizes=4, divisor=4, seed=3
    )


class Task(pl.LightningModule):
    """Notes what it is trained on."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(3, 1)
        self.batch_sampler = make_sampler()
        self.seen: list[list[list[int]]] = []

    def train_dataloader(self) -> DataLoader:
        # Lightning asks for the length, and for an iterator, before it sets the epoch
        self.batch_sampler.set_epoch(self.trainer.fit_loop.epoch_progress.current.processed)
        return DataLoader(Echo(), batch_sampler=self.batch_sampler)

    def training_step(self, batch: Tensor, batch_idx: int) -> Tensor:
        self.seen.append(batch.tolist())
        return self.layer(batch.float()).mean()

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.SGD(self.parameters(), 1e-9)

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        done = self.trainer.fit_loop.epoch_loop.batch_progress.current.processed
        checkpoint["batch_sampler"] = self.batch_sampler.state_dict(done)

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        self.batch_sampler.load_state_dict(checkpoint["batch_sampler"])


class Save(pl.Callback):
    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def on_train_batch_end(self, trainer: pl.Trainer, *_: Any) -> None:
        trainer.save_checkpoint(self.folder / f"{trainer.global_step}.ckpt")

    def on_train_epoch_end(self, trainer: pl.Trainer, *_: Any) -> None:
        trainer.save_checkpoint(self.folder / f"epoch{trainer.current_epoch}.ckpt")


def fit(callbacks: list[pl.Callback], checkpoint: Path | None = None) -> list[list[list[int]]]:
    task = Task()
    trainer = pl.Trainer(
        accelerator="cpu",
        max_epochs=EPOCHS,
        reload_dataloaders_every_n_epochs=1,  # or an epoch longer than the first would be cut
        callbacks=callbacks,
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
    )
    trainer.fit(task, ckpt_path=checkpoint, weights_only=True)
    return task.seen


def test_lightning_sets_the_epoch() -> None:
    sampler = make_sampler()
    _set_sampler_epoch(DataLoader(Echo(), batch_sampler=sampler), 5)
    assert sampler.epoch == 5


@pytest.mark.filterwarnings("ignore")
def test_a_resumed_run_trains_what_is_left(tmp_path: Path) -> None:
    sampler = make_sampler()
    epochs = []
    for epoch in range(EPOCHS):
        sampler.set_epoch(epoch)
        epochs.append([[list(item) for item in step] for step in sampler])
    lengths = [len(steps) for steps in epochs]
    assert lengths[0] < lengths[1] < lengths[2]
    plan = [step for steps in epochs for step in steps]
    assert fit([Save(tmp_path)]) == plan
    for done in (1, lengths[0] + 1, sum(lengths[:2]) + 3):
        assert fit([], tmp_path / f"{done}.ckpt") == plan[done:]
    assert fit([], tmp_path / "epoch0.ckpt") == plan[lengths[0] :]
