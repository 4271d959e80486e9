import pytest
import yaml

from mvdet import list_backbones
from mvdet.benchmarks.counts import Counts, count, excess
from mvdet.benchmarks.suite import LIMITS
from mvdet.resources import resource

LIMITS_OF = yaml.safe_load(resource(LIMITS).read_text(encoding="utf-8"))


@pytest.mark.parametrize("variant", list_backbones())
def test_costs_have_not_grown(variant: str) -> None:
    assert excess(count(variant), LIMITS_OF[variant], subject=variant) == []


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
