"""Lightning's trainer of a recipe: devices, precision, what is saved and logged."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
import torch
from pytorch_lightning.callbacks import Callback, LearningRateMonitor, ModelCheckpoint, TQDMProgressBar
from pytorch_lightning.loggers import CSVLogger, TensorBoardLogger
from pytorch_lightning.utilities.exceptions import MisconfigurationException  # type: ignore[attr-defined]

from mvdet.training.callbacks import EvaluateLastEpoch, ExponentialMovingAverage, SaveOnInterruption
from mvdet.training.recipe import TrainingRecipe
from mvdet.training.resume import LAST

_MOST_DEVICES = 4096  # of one machine: Lightning makes a list of them before it looks how many there are
_NOT_FOR_FLOAT_IMAGES = ("16-true", "bf16-true", "64-true", "64")


def make_trainer(
    recipe: TrainingRecipe, output: Path, best: ModelCheckpoint, callbacks: Sequence[Callback] = ()
) -> pl.Trainer:
    """The trainer of a run; nothing is written yet.

    Args:
        recipe: all settings.
        output: the run's folder.
        best: keeps the best checkpoint.
        callbacks: beside those that every run has.

    Raises:
        ValueError: devices, an accelerator or a precision that this machine does not have, or that is none.
    """
    devices = parse_devices(recipe.devices)
    if recipe.precision in _NOT_FOR_FLOAT_IMAGES:
        raise ValueError(
            f"precision {recipe.precision} would need images of that type; 32-true, 16-mixed and bf16-mixed take floats"
        )
    try:
        return pl.Trainer(
            accelerator=recipe.accelerator,
            devices=devices,
            num_nodes=recipe.num_nodes,
            precision=recipe.precision,  # type: ignore[arg-type]
            max_epochs=recipe.epochs,
            check_val_every_n_epoch=recipe.evaluate_every,
            gradient_clip_val=recipe.gradient_clip or None,
            sync_batchnorm=recipe.sync_batch_norm and torch.cuda.is_available() and recipe.accelerator != "cpu",
            use_distributed_sampler=False,  # the loaders share out the images themselves
            reload_dataloaders_every_n_epochs=1,  # epochs differ in length where batches differ in size
            callbacks=[best, *_callbacks(recipe, output / "checkpoints"), *callbacks],
            # a folder for each start: a resumed run keeps what was logged before
            logger=[CSVLogger(output, name="logs"), TensorBoardLogger(output, name="tensorboard")],
            log_every_n_steps=1,
            num_sanity_val_steps=0,
            enable_model_summary=False,
        )
    except (MisconfigurationException, ValueError, TypeError, ImportError, RuntimeError) as error:
        asked = f"--accelerator {recipe.accelerator} --devices {recipe.devices} --precision {recipe.precision}"
        raise ValueError(f"{asked}: {' '.join(str(error).split())}") from error


def parse_devices(text: str) -> int | list[int] | str:
    """What `--devices` says, as Lightning takes it: 2 is two of them, "0,1" the first two, "auto" and -1 all.

    Raises:
        ValueError: it is none of these.
    """
    if text in ("auto", "-1"):
        return text if text == "auto" else -1
    numbers = [part.strip() for part in text.removesuffix(",").split(",")]
    if all(part.isascii() and part.isdigit() for part in numbers):
        listed = [int(part) for part in numbers]
        if "," not in text and 0 < listed[0] <= _MOST_DEVICES:
            return listed[0]
        if "," in text and len(set(listed)) == len(listed):
            return listed
    raise ValueError(f"devices must be auto, a number from 1, or a list of different devices as 0,1; got {text!r}")


def _callbacks(recipe: TrainingRecipe, checkpoints: Path) -> list[Callback]:
    every: Any = {"every_n_epochs": 1, "save_on_train_epoch_end": True}
    if recipe.checkpoint_every:
        every = {"every_n_train_steps": recipe.checkpoint_every}
    newest = ModelCheckpoint(
        checkpoints, "{step:08d}", monitor="step", mode="max", save_top_k=2, save_last=True, **every
    )
    callbacks: list[Callback] = [newest, LearningRateMonitor("step"), TQDMProgressBar(refresh_rate=5)]
    callbacks += [EvaluateLastEpoch(), SaveOnInterruption(checkpoints / LAST)]
    if recipe.ema_momentum:
        callbacks.append(ExponentialMovingAverage(recipe.ema_momentum))
    return callbacks
