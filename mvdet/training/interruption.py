"""What happens when a run is told to stop."""

from pathlib import Path

import pytorch_lightning as pl
from pytorch_lightning.utilities import rank_zero_info
from pytorch_lightning.utilities.exceptions import SIGTERMException


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
