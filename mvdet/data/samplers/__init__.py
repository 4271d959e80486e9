"""Batch samplers that choose the size of a step's images: `dataset[height, width, index]`."""

from mvdet.data.samplers.fixed_size import FixedSizeBatchSampler
from mvdet.data.samplers.multi_scale import MultiScaleBatchSampler
from mvdet.data.samplers.multi_size import MultiSizeBatchSampler
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
