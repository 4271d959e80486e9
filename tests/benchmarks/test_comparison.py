from pathlib import Path

import cv2
import pytest

from mvdet.benchmarks.comparison import Comparison, comparison_table, mean_table, means, plot_ratios
from mvdet.benchmarks.measure import PairedTimes


def row(rival: str, theirs: tuple[float, ...], *, batch: int = 1) -> Comparison:
    return Comparison("net", "inference", batch, 320, rival, PairedTimes((0.1, 0.1, 0.1), theirs), 2e-6)


def test_means_are_geometric_and_by_rival() -> None:
    rows = [row("a", (0.1, 0.1, 0.1)), row("b", (0.1, 0.1, 0.1)), row("a", (0.4, 0.4, 0.4), batch=8)]
    first, second = means(rows)
    assert (first.rival, first.ratio, first.smallest, first.rows) == ("a", pytest.approx(2), pytest.approx(1), 2)
    assert (second.rival, second.rows) == ("b", 1)
    assert mean_table(rows).splitlines()[2] == "| inference | 320 | a | 2.00 | 1.00 | 2 |"


def test_a_line_of_the_table() -> None:
    line = comparison_table([row("a", (0.1, 0.2, 0.4))]).splitlines()[-1]
    assert line == "| net | inference | 1 | 320 | a | 2.00 (1.50 to 3.00) | 100.0 | 200.0 | 2e-06 |"


def test_the_plot_has_a_mark_for_every_row(tmp_path: Path) -> None:
    plot_ratios([row("a", (0.1, 0.2, 0.4)), row("b", (0.3, 0.2, 0.4), batch=8)], tmp_path / "ratios.png")
    assert cv2.imread(str(tmp_path / "ratios.png")).std() > 0
