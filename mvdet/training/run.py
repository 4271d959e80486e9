"""A training run from its recipe to its report."""

import dataclasses
import os
import signal
import sys
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import pytorch_lightning as pl
import torch
import yaml
from pytorch_lightning.callbacks import Callback, LearningRateMonitor, ModelCheckpoint, TQDMProgressBar
from pytorch_lightning.loggers import CSVLogger, TensorBoardLogger
from pytorch_lightning.utilities import rank_zero_only
from pytorch_lightning.utilities.exceptions import SIGTERMException

from mvdet.tasks import Task
from mvdet.training.callbacks import EvaluateLastEpoch, ExponentialMovingAverage, SaveOnInterruption
from mvdet.training.opening import starting_point
from mvdet.training.recipe import TrainingRecipe, parse_arguments
from mvdet.training.resume import LAST, find_checkpoint
from mvdet.training.task import TrainingTask

Recipe = TypeVar("Recipe", bound=TrainingRecipe)
_OUTPUT_VARIABLE = "MVDET_RUN_OUTPUT"


@dataclasses.dataclass(frozen=True, slots=True)
class RunResult:
    """What a run leaves.

    Attributes:
        output: its folder.
        best: the checkpoint with the best metrics, averaged weights; None if there was no evaluation.
        last: the newest checkpoint, which a run goes on from.
        metrics: of the last evaluation; empty if there was none.
    """

    output: Path
    best: Path | None
    last: Path
    metrics: dict[str, float]

    def summary(self) -> str:
        """The metrics and where the results are, on one line."""
        parts = [", ".join(f"{name} {value:.3f}" for name, value in self.metrics.items())] if self.metrics else []
        if self.best is None:
            parts += ["no evaluation, so no best checkpoint", f"last checkpoint {self.last}"]
        else:
            parts.append(f"best checkpoint {self.best}")
        return "; ".join([*parts, f"results in {self.output}"])


def train(
    recipe: Recipe, make_task: Callable[[Recipe], TrainingTask], name: str, *, callbacks: Sequence[Callback] = ()
) -> RunResult:
    """Train by a recipe.

        OUTPUT/recipe.yaml                        every setting
        OUTPUT/checkpoints/best.ckpt, last.ckpt   and the two newest by step
        OUTPUT/logs/, OUTPUT/tensorboard/         losses, learning rate, metrics: CSV and TensorBoard

    Args:
        recipe: all settings.
        make_task: what is trained, on what; called when the output folder is free and random numbers are seeded.
        name: of the folder in `runs` that the run goes to, unless the recipe says otherwise.
        callbacks: of Lightning, beside the run's own.

    Raises:
        FileExistsError: the output folder holds a run, and nothing says to resume it.
        FileNotFoundError: the data, the weights or the checkpoint is not there.
        ValueError: the data, the weights or the checkpoint cannot be used.
        ConnectionError: data or weights must be downloaded and cannot be.
        mvdet.training.task.NonFiniteLossError: the loss became NaN or infinite.
    """
    output = recipe.output or _default_output(Path("runs") / name)
    checkpoints = output / "checkpoints"
    if recipe.resume is None and checkpoints.is_dir() and any(checkpoints.glob("*.ckpt")):
        raise FileExistsError(f"{output} holds a run; --resume auto goes on with it, another --output starts one")
    resumed = find_checkpoint(checkpoints, recipe.resume)
    pl.seed_everything(recipe.seed, workers=True, verbose=False)
    task = make_task(recipe)
    output.mkdir(parents=True, exist_ok=True)
    if _rank() == 0:
        settings = yaml.safe_dump(recipe.as_dict(), sort_keys=False)
        (output / "recipe.yaml").write_text(settings, encoding="utf-8")
    best = ModelCheckpoint(checkpoints, "best", monitor=task.monitor, mode="max", enable_version_counter=False)
    trainer = pl.Trainer(
        accelerator=recipe.accelerator,
        devices=_devices(recipe.devices),
        num_nodes=recipe.num_nodes,
        precision=recipe.precision,  # type: ignore[arg-type]
        max_epochs=recipe.epochs,
        check_val_every_n_epoch=recipe.evaluate_every,
        gradient_clip_val=recipe.gradient_clip or None,
        sync_batchnorm=recipe.sync_batch_norm and torch.cuda.is_available() and recipe.accelerator != "cpu",
        use_distributed_sampler=False,  # the loaders share out the images themselves
        reload_dataloaders_every_n_epochs=1,  # epochs differ in length where batches differ in size
        callbacks=[best, *_callbacks(recipe, checkpoints), *callbacks],
        # a folder for each start: a resumed run keeps what was logged before
        logger=[CSVLogger(output, name="logs"), TensorBoardLogger(output, name="tensorboard")],
        log_every_n_steps=1,
        num_sanity_val_steps=0,
        enable_model_summary=False,
    )
    trainer.fit(task, ckpt_path=resumed, weights_only=True)
    metrics = {name: float(trainer.callback_metrics[name]) for name in task.metrics}
    best_path = Path(best.best_model_path) if best.best_model_path else None
    return RunResult(output, best_path, checkpoints / LAST, metrics)


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


def _rank() -> int:
    """The rank of this process, before Lightning's trainer exists; 0 where there is one process only."""
    return int(getattr(rank_zero_only, "rank", None) or 0)


def _devices(text: str) -> int | str:
    """Lightning takes a number as a count and a string as a list: --devices 2 is two of them."""
    return int(text) if text.lstrip("-").isdigit() else text


def _default_output(parent: Path) -> Path:
    """train, train2, train3 ...: the first that is not there, as ultralytics numbers its runs.

    The processes that Lightning starts for further devices take the first one's, through the environment.

    Raises:
        ValueError: in a further process that was started otherwise, which cannot know the first one's folder.
    """
    if _rank():
        if _OUTPUT_VARIABLE not in os.environ:
            raise ValueError("several processes that are not started by Lightning itself need the same --output")
        return Path(os.environ[_OUTPUT_VARIABLE])
    number = 1
    while (folder := parent / f"train{number if number > 1 else ''}").exists():
        number += 1
    os.environ[_OUTPUT_VARIABLE] = str(folder)
    return folder


def run_command(
    task: Task, recipe: type[Recipe], make_task: Callable[[Recipe], TrainingTask], *, description: str | None
) -> None:
    """Train as the command line says.

    Args:
        task: says what the recipe files are and where runs go to.
        recipe: the settings that the command line can give.
        make_task: what is trained by such a recipe, and on what.
        description: for `--help`.

    Raises:
        SystemExit: a problem, with one line that says it, or SIGTERM, as the shell reports it.
    """
    try:
        settings = parse_arguments(
            recipe,
            sys.argv[1:],
            task.recipe_files(),
            description=description or "",
            recognise=partial(starting_point, task),
        )
        result = train(settings, make_task, task.runs)
    except SIGTERMException:
        sys.exit(128 + signal.SIGTERM)
    except (ValueError, OSError, RuntimeError) as error:
        sys.exit(f"error: {error}")
    print(result.summary())
