"""A training run from its recipe to its report."""

import contextlib
import dataclasses
import signal
import sys
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import TypeVar

import pytorch_lightning as pl
import yaml
from pytorch_lightning.callbacks import Callback, ModelCheckpoint
from pytorch_lightning.utilities.exceptions import SIGTERMException

from mvdet.tasks import Task
from mvdet.training.loaders import train_loader
from mvdet.training.opening import silence, starting_point
from mvdet.training.output import rank, run_folder
from mvdet.training.recipe import TrainingRecipe, parse_arguments
from mvdet.training.resume import LAST, find_checkpoint, require_same_network
from mvdet.training.task import TrainingTask
from mvdet.training.trainer import make_trainer

Recipe = TypeVar("Recipe", bound=TrainingRecipe)


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
        make_task: what is trained, on what; called when the output folder is held, devices are there and random
            numbers are seeded.
        name: of the folder in `runs` that the run goes to, unless the recipe says otherwise.
        callbacks: of Lightning, beside the run's own.

    Raises:
        FileExistsError: the output folder holds a run, and nothing says to resume it, or another run is under way.
        FileNotFoundError: the data, the weights or the checkpoint is not there.
        ValueError: the data, the weights, the checkpoint or the devices cannot be used.
        ConnectionError: data or weights must be downloaded and cannot be.
        mvdet.training.task.NonFiniteLossError: the loss became NaN or infinite.
    """
    with run_folder(recipe.output, Path("runs") / name) as output:
        checkpoints = output / "checkpoints"
        if recipe.resume is None and checkpoints.is_dir() and any(checkpoints.glob("*.ckpt")):
            raise FileExistsError(f"{output} holds a run; --resume auto goes on with it, another --output starts one")
        resumed = find_checkpoint(checkpoints, recipe.resume)
        best = ModelCheckpoint(checkpoints, "best", mode="max", enable_version_counter=False)
        trainer = make_trainer(recipe, output, best, callbacks)  # before data is read: devices may not be there
        pl.seed_everything(recipe.seed, workers=True, verbose=False)
        with silence() if rank() else contextlib.nullcontext():  # what is found in the data is the same in all
            task = make_task(recipe)
        best.monitor = task.monitor
        train_loader(task.train_data, recipe, world_size=trainer.world_size)  # raises for batches that cannot be
        if resumed is not None:
            require_same_network(resumed, task.hparams, recipe.epochs)
        if rank() == 0:
            settings = yaml.safe_dump(recipe.as_dict(), sort_keys=False)
            (output / "recipe.yaml").write_text(settings, encoding="utf-8")
        trainer.fit(task, ckpt_path=resumed, weights_only=True)
    metrics = {name: float(trainer.callback_metrics[name]) for name in task.metrics}
    best_path = Path(best.best_model_path) if best.best_model_path else None
    return RunResult(output, best_path, checkpoints / LAST, metrics)


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
    if rank() == 0:
        print(result.summary())
