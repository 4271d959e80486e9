"""What a benchmark finds: rows of a table with their means, as Markdown, as json and as a plot."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import geometric_mean
from typing import Any

from matplotlib.figure import Figure

from mvdet.benchmarks.measure import PairedTimes
from mvdet.evaluation.reports.plots import COLOURS


@dataclass(frozen=True, slots=True)
class Comparison:
    """mvdet and a rival, timed in turn.

    Attributes:
        subject: name of the network or function.
        what: what mvdet did.
        batch: number of images at once; None where that says nothing.
        size: side of the square images in pixels; None where that says nothing.
        rival: name of the other implementation.
        times: mvdet's first, the rival's second; a ratio above 1 means that mvdet is faster.
        difference: largest difference of the outputs, relative to the largest value; None where the rival computes
            something else or has other weights.
    """

    subject: str
    what: str
    batch: int | None
    size: int | None
    rival: str
    times: PairedTimes
    difference: float | None = None

    def as_dict(self) -> dict[str, Any]:
        """The comparison in plain types, for json, with every single time in seconds."""
        return {
            "subject": self.subject,
            "what": self.what,
            "batch": self.batch,
            "size": self.size,
            "rival": self.rival,
            "ratio": self.times.ratio,
            "quartiles": list(self.times.spread),
            "mvdet_seconds": list(self.times.first),
            "rival_seconds": list(self.times.second),
            "difference": self.difference,
        }


@dataclass(frozen=True, slots=True)
class Mean:
    """The ratios of all subjects and batches, for one thing done, one rival and one size.

    Attributes:
        what: what mvdet did.
        rival: name of the other implementation.
        size: side of the square images in pixels; None where that says nothing.
        ratio: geometric mean of the ratios.
        smallest: the smallest ratio.
        rows: how many ratios there are.
    """

    what: str
    rival: str
    size: int | None
    ratio: float
    smallest: float
    rows: int


def means(rows: Iterable[Comparison]) -> list[Mean]:
    """The mean for each thing done, rival and size, in the order of their first rows."""
    groups: dict[tuple[str, str, int | None], list[float]] = {}
    for row in rows:
        groups.setdefault((row.what, row.rival, row.size), []).append(row.times.ratio)
    return [
        Mean(what, rival, size, geometric_mean(ratios), min(ratios), len(ratios))
        for (what, rival, size), ratios in groups.items()
    ]


def comparison_table(rows: Sequence[Comparison]) -> str:
    """The rows as a table in Markdown, a line each."""
    header = ("subject", "what", "batch", "size", "against", "ratio (quartiles)", "mvdet ms", "theirs ms", "difference")
    lines = []
    for row in rows:
        low, high = row.times.spread
        ours, theirs = row.times.milliseconds
        difference = "" if row.difference is None else f"{row.difference:.0e}"
        ratio = f"{row.times.ratio:.2f} ({low:.2f} to {high:.2f})"
        cells = (row.subject, row.what, row.batch, row.size, row.rival, ratio, f"{ours:.1f}", f"{theirs:.1f}")
        lines.append([*("" if cell is None else str(cell) for cell in cells), difference])
    return markdown(header, lines)


def mean_table(rows: Sequence[Comparison]) -> str:
    """The geometric means of the rows as a table in Markdown."""
    header = ("what", "size", "against", "geometric mean", "smallest", "of rows")
    lines = [
        (m.what, "" if m.size is None else str(m.size), m.rival, f"{m.ratio:.2f}", f"{m.smallest:.2f}", str(m.rows))
        for m in means(rows)
    ]
    return markdown(header, lines)


def markdown(header: Sequence[str], lines: Iterable[Sequence[str]]) -> str:
    """A table of GitHub's Markdown."""
    rows = [header, ["---"] * len(header), *lines]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in rows)


def plot_ratios(rows: Sequence[Comparison], file: Path) -> None:
    """Every row's ratio with its quartiles, a colour for each rival, as a PNG."""
    labels = list(dict.fromkeys(_label(row) for row in rows))
    rivals = list(dict.fromkeys(row.rival for row in rows))
    figure = Figure(figsize=(8, 1.5 + 0.22 * len(labels)), dpi=130, layout="constrained")
    axes = figure.add_subplot()
    for number, rival in enumerate(rivals):
        mine = [row for row in rows if row.rival == rival]
        ratios = [row.times.ratio for row in mine]
        errors = [
            [max(0.0, row.times.ratio - row.times.spread[0]) for row in mine],
            [max(0.0, row.times.spread[1] - row.times.ratio) for row in mine],
        ]
        places = [labels.index(_label(row)) + 0.2 * (number - (len(rivals) - 1) / 2) for row in mine]
        colour = COLOURS[number % len(COLOURS)]
        axes.errorbar(ratios, places, xerr=errors, fmt="o", markersize=4, color=colour, label=f"against {rival}")
    axes.axvline(1, color="black", linewidth=1)
    axes.set_yticks(range(len(labels)), labels)
    axes.set_ylim(len(labels) - 0.5, -0.5)
    axes.set_xlim(left=0)
    axes.set_xlabel("time of the other / time of mvdet: above 1, mvdet is faster")
    axes.grid(axis="x", alpha=0.3)
    figure.legend(loc="outside upper center", ncols=min(len(rivals), 3))
    figure.savefig(file)


def _label(row: Comparison) -> str:
    """What tells a row from the others of the same rival."""
    batch = "" if row.batch is None else f", batch {row.batch}"
    size = "" if row.size is None else f", {row.size} px"
    return f"{row.subject}: {row.what}{batch}{size}"
