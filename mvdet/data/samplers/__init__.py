"""Batch samplers that choose the size of a step's images: `dataset[height, width, index]`."""

from mvdet.data.samplers.batch_samplers import FixedSizeBatchSampler, MultiScaleBatchSampler, MultiSizeBatchSampler
from mvdet.data.samplers.planned import PlannedBatchSampler
from mvdet.data.samplers.sizes import SizeBatch, size_batch_pairs

__all__ = [
    "FixedSizeBatchSampler",
    "MultiScaleBatchSampler",
    "MultiSizeBatchSampler",
    "PlannedBatchSampler",
    "SizeBatch",
    "size_batch_pairs",
]
