"""What the batch samplers share: the epoch, its plan, and going on in the middle of it."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from operator import index
from typing import Any, Self

import numpy as np
import torch.distributed as dist
from numpy.typing import NDArray
from torch.utils.data import Sampler

from mvdet.data.samplers.sizes import SizeBatch, at_least

_ORDER, _STEPS = 0, 1  # a stream of random numbers each: steps can be counted without putting samples in order


@dataclass(frozen=True, slots=True)
class Share:
    """How the samples of an epoch are divided.

    Attributes:
        num_samples: of the data set.
        num_replicas: processes that share them.
        rank: which of them this is.
        repeat: whether samples are repeated until every process has as many.
    """

    num_samples: int
    num_replicas: int
    rank: int
    repeat: bool

    @property
    def largest(self) -> int:
        """The samples of the process that has most."""
        return -(-self.num_samples // self.num_replicas)

    @property
    def own(self) -> int:
        """The samples of this process."""
        return self.largest if self.repeat else len(range(self.rank, self.num_samples, self.num_replicas))


def plan_steps(
    share: Share, batch_sizes: Sequence[int], *, seed: int, epoch: int, min_batch_size: int = 1
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Draw what every step is, uniformly from `batch_sizes`, until the samples are used up.

    A last step of fewer samples than `min_batch_size` takes what it lacks from the step before, or joins it where that
    has none to spare. Together they are what `batch_sizes` has first, which is the smallest size and the largest batch.

    Returns:
        choices int64 [steps]: positions in `batch_sizes`, the same in every process for as many steps as it has.
        ends int64 [steps]: how many of the process's samples are used after each step; the last is all of them.
    """
    most = -(-share.largest // min(batch_sizes))
    choices = _random(seed, epoch, _STEPS).randint(len(batch_sizes), size=most, dtype=np.int64)
    ends = np.cumsum(np.asarray(batch_sizes, dtype=np.int64)[choices])
    steps = int(np.searchsorted(ends, share.own)) + 1 if share.own else 0
    choices, ends = choices[:steps], np.minimum(ends[:steps], share.own)
    batches = np.diff(ends, prepend=0)
    lacking = min_batch_size - batches[-1] if steps > 1 and batches[-2] >= min_batch_size else 0
    if lacking > 0 and batches[-2] - lacking >= min_batch_size:
        ends[-2] -= lacking
    elif lacking > 0:
        choices, ends = np.append(choices[:-2], 0), np.delete(ends, -2)
    return choices, ends


def plan_order(share: Share, *, shuffle: bool, seed: int, epoch: int) -> NDArray[np.int64]:
    """The indices of this process's samples, in order, int64 [own].

    Processes take turns: what all of them have after any number of steps is one run of the common order, so two of them
    with half the batch each see the steps of one with the whole.
    """
    turns = np.arange(share.rank, share.rank + share.own * share.num_replicas, share.num_replicas, dtype=np.int64)
    turns %= share.num_samples  # past the end, the order starts again
    if not shuffle:
        return turns
    order: NDArray[np.int64] = _random(seed, epoch, _ORDER).permutation(share.num_samples)
    return order[turns]


def _random(seed: int, epoch: int, stream: int) -> np.random.RandomState:
    """Of numpy's generators, the one whose numbers no later numpy changes: a run may be resumed under another one."""
    return np.random.RandomState(np.random.MT19937(np.random.SeedSequence([seed, epoch, stream])))


Settings = Mapping[str, Any]
SizedIndex = tuple[int, int, int]


class PlannedBatchSampler(Sampler[list[SizedIndex]]):
    """Lists of `(height, width, index)`, a step each, by a plan that is made before the epoch starts.

    The plan is a function of the settings and the epoch alone, drawn from generators of its own; the global ones are
    neither read nor moved. All processes have the same number of steps and the same size and batch at each. An epoch
    has every sample once, and as many repeats as give all processes the same number, fewer than there are processes;
    its last step takes what is left, which may be a smaller batch. Without shuffling, the samples come in the
    order of their indices; where there are several sizes, they are drawn all the same.

    Call `set_epoch` before each epoch, as for PyTorch's `DistributedSampler`; `len()` is the number of steps in the
    whole of the epoch that was set, however much of it is done, which is what Lightning compares its own count with.
    Epochs differ in their number of steps where batches differ; `num_batches` tells it for any epoch.

    `state_dict` and `load_state_dict` go on in the middle of an epoch.

    Args:
        num_samples: of the data set.
        pairs: what a step may be, one drawn for each step.
        shuffle: whether the samples come in random order, another in each epoch.
        seed: of order and sizes, 0 or more.
        num_replicas: processes that share the samples; None asks torch.distributed, and is 1 where that is not in use.
        rank: which of them this is; None likewise, or 0.
        growth_epochs: in the first so many epochs, large pairs are held back; see `pairs_at`.
        min_batch_size: the last step of an epoch takes samples from the one before it to have so many, or joins it
            where that would leave it with fewer. 2 is for networks that normalise maps of a single pixel over the
            batch: one image alone is an error there.
        repeat: whether samples are repeated to give every process as many. Without, the processes' last steps may
            differ by one image, and some may have one step less, or none.
        settings: what else defines the plan, by argument name; plain values.

    Attributes:
        pairs: as above, smallest first.
        epoch: the one that was set.
        start_batch: the step that the next pass over the epoch starts at; 0 but after `load_state_dict`, until that
            pass has given out its last step or another epoch is set.

    Raises:
        ValueError: a number out of range.
    """

    def __init__(
        self,
        num_samples: int,
        pairs: Sequence[SizeBatch],
        *,
        shuffle: bool,
        seed: int,
        num_replicas: int | None,
        rank: int | None,
        settings: Settings,
        growth_epochs: int = 0,
        min_batch_size: int = 1,
        repeat: bool = True,
    ) -> None:
        distributed = dist.is_available() and dist.is_initialized()
        if num_replicas is None:
            num_replicas = dist.get_world_size() if distributed else 1
        if rank is None:
            rank = dist.get_rank() if distributed else 0
        num_replicas = at_least("num_replicas", num_replicas, 1)
        if not 0 <= rank < num_replicas:
            raise ValueError(f"rank must be at least 0 and below num_replicas {num_replicas}, got {rank}")
        self.pairs = tuple(pairs)
        self.epoch = 0
        self.start_batch = 0
        self._share = Share(at_least("num_samples", num_samples, 1), num_replicas, rank, repeat)
        self._shuffle = shuffle
        self._seed = at_least("seed", seed, 0)
        self._growth_epochs = at_least("growth_epochs", growth_epochs, 0)
        self._min_batch_size = at_least("min_batch_size", min_batch_size, 1)
        self._done = 0  # steps given out
        everyones = {
            "num_samples": num_samples,
            "shuffle": shuffle,
            "seed": seed,
            "num_replicas": num_replicas,
            "growth_epochs": growth_epochs,
            "min_batch_size": min_batch_size,
            "repeat": repeat,
        }
        self._settings = {name: _plain(value) for name, value in (everyones | dict(settings)).items()}

    @property
    def sampler(self) -> Self:
        """This object: Lightning sets the epoch of a loader's `batch_sampler.sampler`."""
        return self

    def __len__(self) -> int:
        return self.num_batches(self.epoch)

    def num_batches(self, epoch: int) -> int:
        """The number of steps of any epoch."""
        return len(self._steps(epoch)[0])

    def pairs_at(self, epoch: int) -> tuple[SizeBatch, ...]:
        """The pairs that an epoch draws from: the smallest n, where n goes from 1 at epoch 0 to all at `growth_epochs`.

        Sizes are evenly spaced, so the largest side grows linearly.
        """
        if epoch >= self._growth_epochs:
            return self.pairs
        return self.pairs[: 1 + (len(self.pairs) - 1) * epoch // self._growth_epochs]

    def set_epoch(self, epoch: int) -> None:
        """Choose the epoch; another one than before starts at its first step."""
        if at_least("epoch", epoch, 0) != self.epoch:
            self.epoch = epoch
            self.start_batch = self._done = 0

    def __iter__(self) -> Iterator[list[SizedIndex]]:
        choices, ends = self._steps(self.epoch)
        order = plan_order(self._share, shuffle=self._shuffle, seed=self._seed, epoch=self.epoch)
        epoch, self._done = self.epoch, self.start_batch
        for step in range(self.start_batch, len(choices)):
            height, width, _ = self.pairs[choices[step]]
            indices = order[ends[step - 1] if step else 0 : ends[step]].tolist()
            if self.epoch == epoch:
                self._done = step + 1
            yield [(height, width, i) for i in indices]
        if self.epoch == epoch:
            self.start_batch = 0

    def state_dict(self, batches_done: int | None = None) -> dict[str, Any]:
        """What `load_state_dict` needs to go on with the next step; plain values, the same in every process.

        Args:
            batches_done: the steps of this epoch that training has done, those before a resumption too. None takes the
                number given out, which is more where a DataLoader's workers fetch ahead.

        Returns:
            `epoch`, `batches_done` and `settings`.

        Raises:
            ValueError: more steps than the epoch has.
        """
        done = self._done if batches_done is None else batches_done
        self._check_done(done, self.epoch)
        return {"epoch": self.epoch, "batches_done": done, "settings": dict(self._settings)}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on where a state was taken: the next pass starts after the steps done, later epochs at their first step.

        `set_epoch` with the state's epoch changes nothing about that, so a loop may call it as ever. Of an epoch that
        was done, the next pass has no steps.

        Raises:
            ValueError: the state is of another plan: settings differ, or there are not so many steps.
        """
        missing = {"epoch", "batches_done", "settings"} - state.keys()
        if missing:
            raise ValueError(f"not a state of a batch sampler: {', '.join(sorted(missing))} missing in {sorted(state)}")
        theirs, ours = state["settings"], self._settings
        differing = [
            f"{name} is {theirs.get(name, 'absent')} in the state and {ours.get(name, 'absent')} here"
            for name in sorted(theirs.keys() | ours.keys())
            if name not in theirs or name not in ours or theirs[name] != ours[name]
        ]
        if differing:
            raise ValueError(f"the state is of another plan: {'; '.join(differing)}")
        epoch, done = at_least("epoch", state["epoch"], 0), state["batches_done"]
        self._check_done(done, epoch)
        self.epoch = epoch
        self.start_batch = self._done = done

    def _steps(self, epoch: int) -> tuple[Any, Any]:
        batch_sizes = [pair.batch_size for pair in self.pairs_at(epoch)]
        return plan_steps(self._share, batch_sizes, seed=self._seed, epoch=epoch, min_batch_size=self._min_batch_size)

    def _check_done(self, done: int, epoch: int) -> None:
        if at_least("batches_done", done, 0) > self.num_batches(epoch):
            raise ValueError(f"batches_done must be at most {self.num_batches(epoch)} in epoch {epoch}, got {done}")


def _plain(value: Any) -> int | bool | list[int] | None:
    """A setting as it comes back from JSON."""
    if value is None or isinstance(value, bool):
        return value
    return [index(side) for side in value] if isinstance(value, Sequence) else index(value)
