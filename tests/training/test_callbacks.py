from pathlib import Path

import pytest
import pytorch_lightning as pl
import torch
from pytorch_lightning.demos.boring_classes import BoringModel

from mvdet.training.callbacks import EvaluateLastEpoch, ExponentialMovingAverage


def average(momentum: float, values: list[float]) -> float:
    callback = ExponentialMovingAverage(momentum)
    model = torch.nn.Linear(1, 1, bias=False)
    averaged = torch.optim.swa_utils.AveragedModel(model, **callback._kwargs)
    for value in values:
        model.weight.data.fill_(value)
        averaged.update_parameters(model)
    return float(averaged.module.weight.detach())


def test_a_short_run_forgets_its_start() -> None:
    assert average(5e-4, [100.0] + [1.0] * 100) < 1.01


def test_a_long_run_has_the_momentum_that_was_asked_for() -> None:
    before, after = average(0.01, [0.0] * 2000), average(0.01, [0.0] * 2000 + [1.0])
    assert (before, round(after, 6)) == (0.0, 0.01)


@pytest.mark.parametrize(("epochs", "every", "wanted"), [(1, 3, [0]), (5, 2, [1, 3, 4]), (4, 2, [1, 3])])
def test_the_last_epoch_is_evaluated(epochs: int, every: int, wanted: list[int], tmp_path: Path) -> None:
    evaluated: list[int] = []

    class Model(BoringModel):
        def on_validation_end(self) -> None:
            evaluated.append(self.current_epoch)

    trainer = pl.Trainer(
        accelerator="cpu",
        callbacks=[EvaluateLastEpoch()],
        max_epochs=epochs,
        check_val_every_n_epoch=every,
        limit_train_batches=1,
        limit_val_batches=1,
        num_sanity_val_steps=0,
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        default_root_dir=tmp_path,
    )
    trainer.fit(Model())
    assert evaluated == wanted
