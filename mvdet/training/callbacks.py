"""What a run does beside its steps: averages weights, evaluates at its end, saves when it is stopped."""

from pathlib import Path

import pytorch_lightning as pl
import torch
from pytorch_lightning.callbacks import WeightAveraging
from pytorch_lightning.utilities import rank_zero_info
from pytorch_lightning.utilities.exceptions import SIGTERMException
from torch import Tensor


class ExponentialMovingAverage(WeightAveraging):
    """Lightning's weight averaging, exponential, with a start that forgets faster.

    After n steps the momentum is at least 9 / (10 + n), as in TensorFlow's ExponentialMovingAverage with `num_updates`:
    the average of a short run is not dominated by its random start.

    Args:
        momentum: share of the newest weights in the average, 0.0005 in ml-cvnets.
    """

    def __init__(self, momentum: float) -> None:
        def average(averaged: Tensor, current: Tensor, steps: Tensor | int) -> Tensor:
            if not averaged.is_floating_point():
                return current
            return torch.lerp(averaged, current, max(momentum, 9 / (10 + float(steps))))

        super().__init__(avg_fn=average)


class EvaluateLastEpoch(pl.Callback):
    """Evaluates after the last epoch, whatever `check_val_every_n_epoch` is: no run ends without metrics."""

    def on_train_epoch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Called by Lightning, which asks after the epoch whether it is one to evaluate."""
        if trainer.current_epoch + 1 == trainer.max_epochs:
            trainer.check_val_every_n_epoch = 1


class SaveOnInterruption(pl.Callback):
    """Saves a checkpoint on SIGTERM, or Ctrl-C, and says how to go on.

    Lightning ends the step that is under way first, so the checkpoint is one between two steps.

    Args:
        checkpoint: where to save.
    """

    def __init__(self, checkpoint: Path) -> None:
        self.checkpoint = checkpoint

    def on_exception(self, trainer: pl.Trainer, pl_module: pl.LightningModule, exception: BaseException) -> None:
        """Called by Lightning on whatever ends a run early."""
        if isinstance(exception, (SIGTERMException, KeyboardInterrupt)) and trainer.global_step:
            trainer.save_checkpoint(self.checkpoint)
            rank_zero_info(f"Stopped at step {trainer.global_step}, saved {self.checkpoint}; --resume auto goes on")
