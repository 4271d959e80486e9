import torch

from mvdet.training.callbacks import ExponentialMovingAverage


def average(momentum: float, values: list[float]) -> float:
    callback = ExponentialMovingAverage(momentum)
    model = torch.nn.Linear(1, 1, bias=False)
    averaged = torch.optim.swa_utils.AveragedModel(model, **callback._kwargs)
    for value in values:
        model.weight.data.fill_(value)
        averaged.update_parameters(model)
    return float(averaged.module.weight.detach())


def test_a_short_run_forgets_its_start() -> None:
    assert average(5e-4, [100.0] + [1.0] * 100) < 1.01


def test_a_long_run_has_the_momentum_that_was_asked_for() -> None:
    before, after = average(0.01, [0.0] * 2000), average(0.01, [0.0] * 2000 + [1.0])
    assert (before, round(after, 6)) == (0.0, 0.01)
