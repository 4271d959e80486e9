"""Going on from a checkpoint as if the run had never stopped, in the middle of an epoch too.

All that the project knows of Lightning's internals is in this file. They were checked with pytorch-lightning 2.6.6;
`tests/training/test_resume.py` fails where another version works otherwise.
"""

import logging
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, Self

import pytorch_lightning as pl
from pytorch_lightning.callbacks import ModelCheckpoint

from mvdet.checkpoints.reading import read_torch
from mvdet.data.samplers import PlannedBatchSampler
from mvdet.wording import listed

LAST = f"{ModelCheckpoint.CHECKPOINT_NAME_LAST}{ModelCheckpoint.FILE_EXTENSION}"
"""The file that holds the newest state of a run."""

logger = logging.getLogger(__name__)


def find_checkpoint(folder: Path, resume: str | None) -> Path | None:
    """The checkpoint that `resume` means.

    Args:
        folder: where the run keeps its checkpoints.
        resume: None, "auto" for the newest readable one in `folder` (the run starts anew where there is none), or a
            file.

    Returns:
        A checkpoint that can be read, or None to start anew.

    Raises:
        FileNotFoundError: `resume` is a file that is not there.
        ValueError: `resume` is a file that cannot be read, or none in `folder` can be.
    """
    if resume is None:
        return None
    if resume != "auto":
        if not Path(resume).is_file():
            raise FileNotFoundError(f"checkpoint not found: {resume}")
        try:
            read_torch(Path(resume))
        except ValueError as error:
            raise ValueError(f"{resume}: {error}") from None
        return Path(resume)
    candidates = sorted(folder.glob("*.ckpt"), key=lambda path: path.stat().st_mtime, reverse=True)
    problems = []
    for path in candidates:
        try:
            read_torch(path)
        except ValueError as error:
            problems.append(f"{path.name}: {error}")
            logger.warning("%s: left aside: %s", path, error)
        else:
            return path
    if problems:
        raise ValueError(f"no checkpoint in {folder} can be read: {'; '.join(problems)}")
    logger.warning("nothing to resume in %s: the run starts anew", folder)
    return None


def require_same_network(checkpoint: Path, current: Mapping[str, Any], epochs: int) -> None:
    """Raises ValueError unless a checkpoint is of the network and the classes of a run that is to go on from it.

    Args:
        checkpoint: one that can be read.
        current: the `hparams` of what is trained now, see `mvdet.training.task.TrainingTask`.
        epochs: that the run is to have in all; no fewer than the checkpoint's.
    """
    content = read_torch(checkpoint)
    saved = content.get("hyper_parameters") if isinstance(content, Mapping) else None
    if not isinstance(saved, Mapping) or "model" not in saved or "loops" not in content:
        raise ValueError(f"{checkpoint} is no checkpoint of a run of these scripts; --weights takes weights alone")
    theirs, ours = _identity(saved), _identity(current)
    for what, value in ours.items():
        if theirs.get(what) != value:
            both = f"{what} there: {_shown(theirs.get(what))}; of this run: {_shown(value)}"
            raise ValueError(f"cannot go on from {checkpoint}: {both}")
    if content.get("epoch", 0) > epochs:
        raise ValueError(f"cannot go on from {checkpoint}: it is in epoch {content['epoch'] + 1}, of {epochs} epochs")


def _identity(hparams: Mapping[str, Any]) -> dict[str, Any]:
    """What a network is, by how it is called in messages."""
    model = hparams["model"]
    options = {f"the network's {key}": value for key, value in model.get("options", {}).items()}
    return {"the network": model.get("name"), **options, "the classes": list(hparams.get("class_names", ()))}


def _shown(value: object) -> str:
    is_names = isinstance(value, list) and all(isinstance(item, str) for item in value)
    return f"{len(value)}, {listed(value)}" if is_names and isinstance(value, list) else str(value)


class EpochLoader:
    """Batches of one epoch after the other, which can begin in the middle of one.

    Lightning calls `set_epoch` of what it finds in `sampler`, and keeps `state_dict` in its checkpoints. It asks for an
    iterator before it sets the epoch: nothing is loaded until the first batch is asked for.

    Args:
        batches: the batches of one epoch, every time that it is iterated over.
        batch_sampler: the plan of each epoch, which `batches` follows.
        set_dataset_epoch: tells the data set which epoch its augmentations are of.
    """

    def __init__(
        self, batches: Iterable[Any], batch_sampler: PlannedBatchSampler, set_dataset_epoch: Callable[[int], None]
    ) -> None:
        self.batch_sampler = batch_sampler
        self._batches = batches
        self._set_dataset_epoch = set_dataset_epoch
        self._done = batch_sampler.start_batch  # the sampler's own count is that of batches the workers have begun

    @property
    def sampler(self) -> Self:
        """What Lightning tells the epoch."""
        return self

    def set_epoch(self, epoch: int) -> None:
        """Choose the epoch, for the plan and for the augmentations."""
        self.batch_sampler.set_epoch(epoch)
        self._set_dataset_epoch(epoch)
        self._done = self.batch_sampler.start_batch

    def __len__(self) -> int:
        """Batches of the whole epoch, those before its beginning in the middle included."""
        return len(self.batch_sampler)

    def __iter__(self) -> Iterator[Any]:
        self._done = self.batch_sampler.start_batch
        for batch in self._batches:
            self._done += 1
            yield batch

    def total_steps(self, epochs: int) -> int:
        """The number of batches in the first `epochs` epochs."""
        return sum(self.batch_sampler.num_batches(epoch) for epoch in range(epochs))

    def state_dict(self) -> dict[str, Any]:
        """Epoch and number of batches that were trained on, with what defines the plan."""
        return self.batch_sampler.state_dict(self._done)

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Begin where a `state_dict` was made; raises ValueError if that was of another plan."""
        current = self.batch_sampler.epoch
        self.batch_sampler.load_state_dict(state)
        # A state of an epoch's end: Lightning may count that epoch as over or as still to be closed
        over = self.batch_sampler.start_batch == len(self)
        self.set_epoch(current if over else self.batch_sampler.epoch)


def epochs_done(trainer: pl.Trainer) -> int:
    """The number of epochs that are over, which is the number of the one that Lightning asks a loader for.

    `trainer.current_epoch` says the same later only, when the epoch has begun.
    """
    progress: Any = trainer.fit_loop.epoch_progress.current
    return int(progress.processed)


def close_finished_epoch(trainer: pl.Trainer) -> None:
    """Let a run whose checkpoint was saved after the last batch of an epoch go on with the next epoch.

    Lightning does so by itself only where the next epoch is not longer than the one that is over: it compares the
    batches that were done with the next epoch's length. To be called when training starts.
    """
    loop = trainer.fit_loop.epoch_loop
    if loop.restarted_on_train_batch_end and loop.batch_progress.is_last_batch:
        loop.batch_progress.current.completed = sys.maxsize - 1  # it adds one
