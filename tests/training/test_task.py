import pytest

from mvdet.training.task import warmup_cosine

PAPER = {"highest": 9e-4, "lowest": 1e-6, "warmup_steps": 500, "warmup_start": 9e-5}


@pytest.mark.parametrize(
    ("step", "rate"), [(0, 9e-5), (250, 4.95e-4), (500, 9e-4), (100_250, 4.505e-4), (200_000, 1e-6), (300_000, 1e-6)]
)
def test_the_papers(step: int, rate: float) -> None:
    assert warmup_cosine(step, 200_000, **PAPER) == pytest.approx(rate, rel=1e-6)


def test_it_only_falls_after_the_warm_up() -> None:
    rates = [warmup_cosine(step, 1000, **PAPER) for step in range(1000)]
    top = rates.index(max(rates))
    assert top == 333
    assert rates[:top] == sorted(rates[:top])
    assert rates[top:] == sorted(rates[top:], reverse=True)


def test_runs_of_a_few_steps() -> None:
    assert [warmup_cosine(step, 1, **PAPER) for step in (0, 1)] == pytest.approx([9e-4, 1e-6])
