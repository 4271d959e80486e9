"""A run that cannot learn does not start: its data is counted, doubted and judged before there is a network."""

import logging
from collections.abc import Callable
from typing import Any

from pytorch_lightning.utilities import rank_zero_info, rank_zero_only

from mvdet.data.inspection.problems import problems
from mvdet.data.inspection.statistics import TRAINING, VALIDATION, AnyDataset, statistics_of
from mvdet.data.inspection.suspicions import suspicions, suspicious_pictures

logger = logging.getLogger(__name__)


def require_learnable(training: AnyDataset, validation: AnyDataset, source: str) -> None:
    """Say what the data is, then what looks wrong in it, then stop if nothing can be learnt or measured.

    Counts go to Lightning's log and suspicions are warnings, of the first process alone.

    Args:
        training: to learn from.
        validation: to measure on.
        source: what the data is called in messages, see `mvdet.training.opening.described`.

    Raises:
        ValueError: there is nothing to learn in the training images, or nothing to measure in the validation images.
    """
    found: list[str] = []
    for dataset, split in ((training, TRAINING), (validation, VALIDATION)):
        statistics = statistics_of(dataset, split)
        rank_zero_info(f"{source}: {statistics.line()}")
        _warn(suspicions, dataset, statistics)
        found += problems(statistics)
    _warn(suspicious_pictures, training, validation)
    if found:
        raise ValueError(f"{source}: {'; '.join(found)}")


def require_measurable(dataset: AnyDataset, source: str) -> None:
    """Say what the data is; raises ValueError if there is nothing in it to measure a model by."""
    statistics = statistics_of(dataset, VALIDATION)
    rank_zero_info(f"{source}: {statistics.line()}")
    if found := problems(statistics):
        raise ValueError(f"{source}: {'; '.join(found)}")


@rank_zero_only
def _warn(look: Callable[..., list[str]], *what: Any) -> None:
    for text in look(*what):
        logger.warning("%s", text)
