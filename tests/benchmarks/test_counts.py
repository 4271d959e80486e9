import pytest
import torch

from mvdet import list_backbones
from mvdet.benchmarks.counts import OTHER_VERSION, Counts, count, excess, read_limits

LIMITS_OF, TOLERANCE = read_limits()


def test_every_backbone_has_limits() -> None:
    assert list(LIMITS_OF) == list_backbones()


@pytest.mark.parametrize("variant", list_backbones())
def test_costs_have_not_grown(variant: str) -> None:
    assert excess(count(variant), LIMITS_OF[variant], subject=variant, tolerance=TOLERANCE) == []


def test_another_version_of_torch_may_count_otherwise(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch, "__version__", "1.0.0")
    limits, tolerance = read_limits()
    assert (limits, tolerance) == (LIMITS_OF, OTHER_VERSION)
    found = Counts(**{name: 1.05 * value for name, value in limits["mobilevit_xxs"].items()})
    assert excess(found, limits["mobilevit_xxs"], subject="x", tolerance=tolerance) == []
    assert len(excess(found, limits["mobilevit_xxs"], subject="x")) == 5


def test_a_count_above_its_limit_is_named() -> None:
    limits = LIMITS_OF["mobilevit_xxs"]
    found = Counts(**{**limits, "copies": limits["copies"] + 2, "kernels": limits["kernels"] - 1})
    assert excess(found, limits, subject="x") == [f"x: copies has grown from {limits['copies']} to {found.copies}"]


def test_limits_must_be_of_every_count() -> None:
    limits = {name: value for name, value in LIMITS_OF["mobilevit_xxs"].items() if name != "gflop"}
    with pytest.raises(
        ValueError, match="x: limits must be of activation_mib, copied_mib, copies, gflop, kernels, got"
    ):
        excess(Counts(1, 1, 1, 1, 1), limits, subject="x")


def test_arithmetic_and_copies_follow_the_pixels() -> None:
    """Twice the sides: four times the work, and more than that in attention; as many kernels."""
    small, large = (count("mobilevit_xxs", size=size) for size in (128, 256))
    assert small.kernels == large.kernels
    assert large.copied_mib == pytest.approx(4 * small.copied_mib, rel=0.05)
    assert 4 * small.gflop < large.gflop < 4.5 * small.gflop
