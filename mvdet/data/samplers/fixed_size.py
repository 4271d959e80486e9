"""One size and one batch."""

from mvdet.data.samplers.planned import PlannedBatchSampler
from mvdet.data.samplers.sizes import Size, SizeBatch, at_least, checked_size


class FixedSizeBatchSampler(PlannedBatchSampler):
    """A batch sampler with one size, for comparison with the multi-scale one and for validation.

    It yields lists of `(height, width, index)`, as the others. For validation, where a repeated image would count
    twice, take `shuffle=False, repeat=False`: each index then comes once in all processes together, and these may
    differ by one image in the last step or by one step, so what they gather must not depend on equal numbers.

    Args:
        num_samples: of the data set.
        size: (height, width).
        batch_size: images of one process in a step.
        repeat: whether samples are repeated to give every process as many.
        min_batch_size, shuffle, seed, num_replicas, rank: as for `PlannedBatchSampler`.

    Raises:
        ValueError: a size or a batch below 1; no samples; a seed below 0; a rank out of range.
    """

    def __init__(
        self,
        num_samples: int,
        *,
        size: Size = (256, 256),
        batch_size: int = 32,
        repeat: bool = True,
        min_batch_size: int = 1,
        shuffle: bool = True,
        seed: int = 0,
        num_replicas: int | None = None,
        rank: int | None = None,
    ) -> None:
        height, width = checked_size("size", size)
        super().__init__(
            num_samples,
            [SizeBatch(height, width, at_least("batch_size", batch_size, 1))],
            min_batch_size=min_batch_size,
            shuffle=shuffle,
            seed=seed,
            num_replicas=num_replicas,
            rank=rank,
            repeat=repeat,
            settings={"size": size, "batch_size": batch_size},
        )
