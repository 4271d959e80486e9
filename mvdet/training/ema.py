"""Averaged weights, evaluated and saved in place of the last step's."""

import torch
from pytorch_lightning.callbacks import WeightAveraging
from torch import Tensor


class ExponentialMovingAverage(WeightAveraging):
    """Lightning's weight averaging, exponential, with a start that forgets faster.

    After n steps the momentum is at least 9 / (10 + n), as in TensorFlow's ExponentialMovingAverage with `num_updates`:
    the average of a short run is not dominated by its random start.

    Args:
        momentum: share of the newest weights in the average, 0.0005 in ml-cvnets.
    """

    def __init__(self, momentum: float) -> None:
        def average(averaged: Tensor, current: Tensor, steps: Tensor | int) -> Tensor:
            if not averaged.is_floating_point():
                return current
            return torch.lerp(averaged, current, max(momentum, 9 / (10 + float(steps))))

        super().__init__(avg_fn=average)
