"""The steps of one epoch, as arrays, as a function of settings and epoch alone."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

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
) -> tuple[NDArray, NDArray]:
    """Draw what every step is, uniformly from `batch_sizes`, until the samples are used up.

    A last step of fewer samples than `min_batch_size` takes what it lacks from the step before, if that can spare it.

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
    lacking = min_batch_size - batches[-1] if steps > 1 else 0
    if lacking > 0 and batches[-2] - lacking >= min_batch_size:
        ends[-2] -= lacking
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
