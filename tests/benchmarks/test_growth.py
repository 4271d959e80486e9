from functools import partial
from pathlib import Path
from typing import Any

import cv2
import pytest

from mvdet.benchmarks.growth import fit, growth, plot

SIZES = (224, 320, 512, 1024)


def seconds(constant: float, linear: float, quadratic: float) -> list[float]:
    return [constant + linear * side**2 / 1e6 + quadratic * side**4 / 1e12 for side in SIZES]


def test_a_straight_line_is_found() -> None:
    found = fit("x", SIZES, seconds(0.002, 0.3, 0))
    assert found.linear == pytest.approx((0.002, 0.3))
    assert found.error(found.linear) < 1e-9
    assert found.quadratic_share == pytest.approx(0, abs=1e-9)


def test_a_quadratic_part_is_found() -> None:
    found = fit("x", SIZES, seconds(0.002, 0.3, 0.1))
    assert found.quadratic == pytest.approx((0.002, 0.3, 0.1))
    assert found.error(found.linear) > 0.01
    megapixels = 1024**2 / 1e6
    share = 0.1 * megapixels**2 / (0.002 + 0.3 * megapixels + 0.1 * megapixels**2)
    assert found.quadratic_share == pytest.approx(share)


def test_networks_are_timed_and_drawn(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each network's median at each size; a clock that is made up tells which network and size is which."""

    def times(functions: list[partial], *, repeats: int, **_: Any) -> list[tuple[float, ...]]:
        found = []
        for function in functions:
            maps = function()
            width, (images,) = maps[-1].shape[1], function.args
            found.append(tuple(width * images.shape[-1] * factor for factor in (0.5, 1.0, 9.0)))
        return found

    monkeypatch.setattr("mvdet.benchmarks.growth.time_in_turn", times)
    found = growth(["mobilevit_xxs", "mobilevitv2_050"], sizes=(32, 64, 96), repeats=3)
    assert [one.variant for one in found] == ["mobilevit_xxs", "mobilevitv2_050"]
    assert [one.seconds for one in found] == [(320 * 32, 320 * 64, 320 * 96), (256 * 32, 256 * 64, 256 * 96)]
    plot(found, tmp_path / "growth.png")
    assert cv2.imread(str(tmp_path / "growth.png")).std() > 0
