"""The batch samplers: one size, several sizes with a batch for each, several sizes with one batch."""

from mvdet.data.samplers.planned import PlannedBatchSampler
from mvdet.data.samplers.sizes import Size, SizeBatch, at_least, checked_size, image_sizes, size_batch_pairs


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


class MultiScaleBatchSampler(PlannedBatchSampler):
    """A batch sampler that draws a size for each step, with the larger batches at the smaller sizes.

    Every step has about the pixels of the base, so small images make an epoch shorter in steps and in time (MobileViT,
    arXiv:2110.02178, section 3.2). It yields lists of `(height, width, index)`, which is what
    the data sets of `mvdet.data.datasets` take; epochs, processes and resumption are as in `PlannedBatchSampler`.

    Args:
        num_samples: of the data set.
        base_size: (height, width) that the batch is given for.
        base_batch_size: images in a step at `base_size` **of one process**, as in ml-cvnets: a step of all processes
            has `num_replicas` times as many.
        min_size, max_size, num_sizes, divisor: the sizes, as for `image_sizes`.
        max_pixels: the most pixels, images x height x width, of one process in a step: batches are cut to it.
        growth_epochs: the largest size grows from the smallest one in epoch 0 to `max_size` in this epoch, linearly; 0
            has all sizes from the start. The batch at a size is the same in every epoch.
        min_batch_size, shuffle, seed, num_replicas, rank: as for `PlannedBatchSampler`.

    Raises:
        ValueError: a setting that cannot work, as `size_batch_pairs`; no samples; a seed below 0; a rank out of range.

    Example:
        >>> sampler = MultiScaleBatchSampler(len(dataset), base_batch_size=128)
        >>> loader = DataLoader(dataset, batch_sampler=sampler, collate_fn=collate)
        >>> for epoch in range(epochs):
        ...     sampler.set_epoch(epoch)
        ...     for images, targets in loader: ...
    """

    def __init__(
        self,
        num_samples: int,
        *,
        base_size: Size = (256, 256),
        base_batch_size: int = 32,
        min_size: Size = (160, 160),
        max_size: Size = (320, 320),
        num_sizes: int = 5,
        divisor: int = 32,
        max_pixels: int | None = None,
        growth_epochs: int = 0,
        min_batch_size: int = 1,
        shuffle: bool = True,
        seed: int = 0,
        num_replicas: int | None = None,
        rank: int | None = None,
    ) -> None:
        pairs = size_batch_pairs(
            base_size, base_batch_size, min_size, max_size, num_sizes, divisor, max_pixels=max_pixels
        )
        super().__init__(
            num_samples,
            pairs,
            min_batch_size=min_batch_size,
            shuffle=shuffle,
            seed=seed,
            num_replicas=num_replicas,
            rank=rank,
            growth_epochs=growth_epochs,
            settings={
                "base_size": base_size,
                "base_batch_size": base_batch_size,
                "min_size": min_size,
                "max_size": max_size,
                "num_sizes": num_sizes,
                "divisor": divisor,
                "max_pixels": max_pixels,
            },
        )


class MultiSizeBatchSampler(PlannedBatchSampler):
    """A batch sampler that draws a size for each step and keeps the batch: what the multi-scale sampler is compared to.

    The sizes are those of `MultiScaleBatchSampler`, and so is what it yields. A step's memory is that of the largest
    size; every epoch has the same number of steps.

    Args:
        num_samples: of the data set.
        base_size, min_size, max_size, num_sizes, divisor: the sizes, as for `image_sizes`.
        base_batch_size: images of one process in a step, at any size.
        max_pixels: the most pixels, images x height x width, of one process in a step. One batch is for all sizes, so
            it is not cut.
        growth_epochs: as for `MultiScaleBatchSampler`.
        min_batch_size, shuffle, seed, num_replicas, rank: as for `PlannedBatchSampler`.

    Raises:
        ValueError: a setting that cannot work, as `image_sizes`; a batch below 1, or more than `max_pixels` at the
            largest size; no samples; a seed below 0; a rank out of range.
    """

    def __init__(
        self,
        num_samples: int,
        *,
        base_size: Size = (256, 256),
        base_batch_size: int = 32,
        min_size: Size = (160, 160),
        max_size: Size = (320, 320),
        num_sizes: int = 5,
        divisor: int = 32,
        max_pixels: int | None = None,
        growth_epochs: int = 0,
        min_batch_size: int = 1,
        shuffle: bool = True,
        seed: int = 0,
        num_replicas: int | None = None,
        rank: int | None = None,
    ) -> None:
        base_batch_size = at_least("base_batch_size", base_batch_size, 1)
        sizes = image_sizes(base_size, min_size, max_size, num_sizes, divisor)
        most = base_batch_size * sizes[-1][0] * sizes[-1][1]
        if max_pixels is not None and most > at_least("max_pixels", max_pixels, 1):
            raise ValueError(
                f"max_pixels must be at least {most}, {base_batch_size} images of the largest size {sizes[-1]}, "
                f"got {max_pixels}"
            )
        super().__init__(
            num_samples,
            [SizeBatch(height, width, base_batch_size) for height, width in sizes],
            min_batch_size=min_batch_size,
            shuffle=shuffle,
            seed=seed,
            num_replicas=num_replicas,
            rank=rank,
            growth_epochs=growth_epochs,
            settings={
                "base_size": base_size,
                "batch_size": base_batch_size,
                "min_size": min_size,
                "max_size": max_size,
                "num_sizes": num_sizes,
                "divisor": divisor,
            },
        )
