"""Precision-recall curves, confusion matrices and bars as PNG files.

Figures are made without pyplot, so no window system is asked for and no global state changes. Colours are those of
Okabe and Ito (https://jfly.uni-koeln.de/color/), which colour-blind readers can tell apart.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.text import Text
from numpy.typing import NDArray

from mvdet.evaluation.metrics.coco import CocoMetrics
from mvdet.evaluation.reports.text import percent, shorten

COLOURS = ("#0072B2", "#E69F00", "#009E73", "#CC79A7", "#56B4E9")
"""The colours of curves and bars."""
MOST_CURVES = 10
"""Classes that a plot of precision and recall shows."""
MOST_CLASSES = 100
"""Classes that a confusion matrix shows."""


def plot_precision_recall(file: Path, metrics: CocoMetrics) -> None:
    """Precision over recall at IoU 0.5: the mean over classes, and each class, or the five best and five worst by AP50.

    Args:
        file: the PNG to write; its folder must exist.
        metrics: of `evaluate_coco`.
    """
    figure = Figure(figsize=(9, 5.5), dpi=150, layout="constrained")
    axes = figure.add_subplot()
    title = "Precision and recall at IoU 0.5"
    if len(metrics.curves) > MOST_CURVES:
        title += f": the five best and the five worst of {len(metrics.curves)} classes"
    recall = np.linspace(0, 1, 101)
    for n, name in enumerate(_shown_classes(metrics)):
        style, colour = ("-" if n < len(COLOURS) else "--"), COLOURS[n % len(COLOURS)]
        width = 3.6 - 0.5 * (n % len(COLOURS))  # curves that coincide show one inside the other
        curve = metrics.curves[name]
        axes.plot(recall, curve, style, color=colour, linewidth=width, label=_curve_label(curve, name))
    if metrics.curves:
        mean = np.mean(list(metrics.curves.values()), axis=0)
        axes.plot(recall, mean, color="black", linewidth=2.2, label=_curve_label(mean, "mean of all classes"))
        axes.legend(
            loc="center left", bbox_to_anchor=(1.01, 0.5), frameon=False, title="AP50    class", alignment="left"
        )
    else:
        axes.text(0.5, 0.5, "no class has an object", ha="center")
    axes.set(xlabel="recall", ylabel="precision", xlim=(0, 1), ylim=(-0.02, 1.02), title=title)
    axes.grid(color="0.9")
    _save(figure, file)


def _shown_classes(metrics: CocoMetrics) -> list[str]:
    """Names by falling AP50; of equals, the one with more objects says more and comes first."""

    def size(name: str) -> int:
        return metrics.per_class[name].objects

    def ap50(name: str) -> float:
        return float(np.mean(metrics.curves[name]))

    best = sorted(metrics.curves, key=lambda name: (-ap50(name), -size(name)))
    if len(best) <= MOST_CURVES:
        return best
    worst = sorted(best, key=lambda name: (ap50(name), -size(name)))
    return best[: MOST_CURVES // 2] + worst[: MOST_CURVES // 2][::-1]


def _curve_label(curve: Sequence[float] | NDArray[np.float64], name: str) -> str:
    return f"{np.mean(curve):.3f}  {shorten(name)}"


def plot_confusion_matrix(
    file: Path, counts: NDArray[np.int64], class_names: Sequence[str], *, score_threshold: float
) -> None:
    """The confusion matrix, each row divided by its sum, so that the diagonal is recall.

    Classes without objects and detections are left out. Of more than 100 others, the ones with the fewest objects are
    put together. The last row shows how detections without an object are distributed over the classes.

    Args:
        file: the PNG to write; its folder must exist.
        counts: [K + 1, K + 1], of `Matching.confusion_matrix`.
        class_names: K names.
        score_threshold: that the detections were chosen by; for the title.

    Raises:
        ValueError: the matrix has another size.
    """
    size = len(class_names) + 1
    if counts.shape != (size, size):
        raise ValueError(f"counts must be [{size}, {size}] for {size - 1} classes, got {list(counts.shape)}")
    counts, names = _condense(counts, class_names, background=True)
    _plot_matrix(
        file,
        counts,
        [*names, "background"],
        [*names, "background (missed)"],
        labels=("object  (how many)", "detected as"),
        title=f"What objects were detected as: IoU 0.5, score {score_threshold:g} and above",
        background=True,
    )


def plot_class_confusion(file: Path, counts: NDArray[np.int64], class_names: Sequence[str], *, unit: str) -> None:
    """The confusion matrix of a classifier, each row divided by its sum; of more than 100 classes, the rarest are one.

    Args:
        file: the PNG to write; its folder must exist.
        counts: [K, K], true classes by found ones.
        class_names: K names.
        unit: what is counted, as "image".

    Raises:
        ValueError: the matrix has another size.
    """
    size = len(class_names)
    if counts.shape != (size, size):
        raise ValueError(f"counts must be [{size}, {size}] for {size} classes, got {list(counts.shape)}")
    counts, names = _condense(counts, class_names, background=False)
    labels = (f"true class  (how many {unit}s)", "found")
    _plot_matrix(file, counts, names, names, labels=labels, title=f"What {unit}s of each class were taken for")


def _plot_matrix(
    file: Path,
    counts: NDArray[np.int64],
    row_names: Sequence[str],
    column_names: Sequence[str],
    *,
    labels: tuple[str, str],
    title: str,
    background: bool = False,
) -> None:
    """Counts by row and column; `labels` are the rows' and the columns', a `background` comes last in both."""
    sums = counts.sum(axis=1)
    cells = 100 * np.divide(counts, sums[:, None], out=np.zeros(counts.shape), where=sums[:, None] > 0)
    few = len(row_names) - background <= 16
    side = max(5.0, (len(row_names) - background) * (0.55 if few else 0.24))
    figure = Figure(figsize=(side + 3, side + 2), dpi=150 if few else 120, layout="constrained")
    axes = figure.add_subplot()
    image = axes.imshow(cells, cmap="Blues", vmin=0, vmax=100)
    font = 9 if few else 7
    rows = [f"{shorten(name)}  ({total})" for name, total in zip(row_names, sums, strict=True)]
    axes.set_yticks(range(len(rows)), rows, fontsize=font)
    axes.set_xticks(range(len(rows)), [*map(shorten, column_names)], fontsize=font, rotation=90)
    axes.tick_params(length=0, labelbottom=True, labeltop=not few)  # far from the bottom names are needed on top too
    axes.set_xlabel(labels[1], fontsize=font + 3)
    axes.set_ylabel(labels[0], fontsize=font + 3)
    axes.set_title(title, fontsize=font + 4)
    for edge in np.arange(len(rows) + 1) - 0.5:
        width = 1.2 if background and edge == len(rows) - 1.5 else 0.3  # it is another kind of row and column
        axes.axhline(edge, color="0.55" if width > 1 else "0.85", linewidth=width)
        axes.axvline(edge, color="0.55" if width > 1 else "0.85", linewidth=width)
    _write_percent(axes, cells, font if few else 4.5)
    figure.colorbar(image, ax=axes, shrink=0.6, pad=0.02).set_label("per cent of the row", fontsize=font + 1)
    _save(figure, file)


def plot_bars(file: Path, values: Mapping[str, float | None], *, mean: float | None, label: str, title: str) -> None:
    """A bar for each class, in the order given, with its value, and a line at the mean.

    Args:
        file: the PNG to write; its folder must exist.
        values: in [0, 1] by class name; None is written as "-".
        mean: of the classes.
        label: what the values are.
        title: of the plot.
    """
    figure = Figure(figsize=(9, max(2.5, 1.2 + 0.28 * len(values))), dpi=120, layout="constrained")
    axes = figure.add_subplot()
    rows = range(len(values))
    axes.barh(rows, [value or 0 for value in values.values()], color=COLOURS[0], height=0.72)
    for row, value in zip(rows, values.values(), strict=True):
        # on white: the line at the mean may pass there
        box = {"facecolor": "white", "edgecolor": "none", "pad": 0.6}
        axes.text((value or 0) + 0.008, row, percent(value), va="center", fontsize=8, bbox=box)
    if mean is not None:
        axes.axvline(mean, color=COLOURS[1], linewidth=2, label=f"mean {percent(mean)}")
        axes.legend(loc="lower right", bbox_to_anchor=(1, 1), frameon=False)
    axes.set_yticks(rows, [*map(shorten, values)], fontsize=9)
    axes.set_ylim(len(values) - 0.4, -0.6)
    axes.set(xlabel=f"{label}, per cent", xlim=(0, 1.08))
    axes.set_xticks(np.linspace(0, 1, 6), [f"{value}" for value in range(0, 101, 20)])
    axes.set_title(title, loc="left")
    axes.spines[["top", "right"]].set_visible(False)
    _save(figure, file)


def _write_percent(axes: Axes, cells: NDArray[np.float64], font: float) -> None:
    """Numbers in the cells where they round to 1 or more."""
    for row, column in zip(*np.nonzero(cells >= 0.5), strict=True):
        value = cells[row, column]
        colour = "white" if value > 60 else "black"
        axes.text(column, row, f"{value:.0f}", ha="center", va="center", fontsize=font, color=colour)


def _condense(
    counts: NDArray[np.int64], class_names: Sequence[str], *, background: bool
) -> tuple[NDArray[np.int64], list[str]]:
    """Drop classes that do not occur, and add up the rarest where more remain than a picture can show.

    A `background` is the matrix's last row and column, beyond the names, and stays.
    """
    last = [[len(class_names)]] if background else []
    occurring = [k for k in range(len(class_names)) if counts[k].any() or counts[:, k].any()]
    by_size = sorted(occurring, key=lambda k: -counts[k].sum())
    kept = sorted(by_size[: MOST_CLASSES - 1] if len(by_size) > MOST_CLASSES else by_size)
    rest = [k for k in occurring if k not in set(kept)]
    groups = [[k] for k in kept] + ([rest] if rest else []) + last
    condensed = np.array([[counts[np.ix_(row, column)].sum() for column in groups] for row in groups], dtype=np.int64)
    names = [class_names[k] for k in kept] + ([f"{len(rest)} rarer classes"] if rest else [])
    return condensed, names


def _save(figure: Figure, file: Path) -> None:
    for text in figure.findobj(Text):
        text.set_parse_math(False)  # a class name may hold a $
    figure.savefig(file, format="png", bbox_inches="tight")  # else titles above many labels are cut off
