"""Data sets: readers, writers and the generated `shapes` set; samplers that say which images a step has, at which size.

The data sets are imported from their modules. The samplers' names below are resolved on first use, so importing this
package loads nothing.
"""

from importlib import import_module

TYPE_CHECKING = False
if TYPE_CHECKING:
    from mvdet.data.samplers import (
        FixedSizeBatchSampler,
        MultiScaleBatchSampler,
        MultiSizeBatchSampler,
        size_batch_pairs,
    )

__all__ = ["FixedSizeBatchSampler", "MultiScaleBatchSampler", "MultiSizeBatchSampler", "size_batch_pairs"]


def __getattr__(name: str) -> object:
    if name not in __all__:
        raise AttributeError(f"module 'mvdet.data' has no attribute {name!r}")
    return getattr(import_module("mvdet.data.samplers"), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
