from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from mvdet.evaluation.metrics.coco import ClassMetrics, CocoMetrics, evaluate_coco
from mvdet.evaluation.reports.plots import plot_confusion_matrix, plot_precision_recall

figures = pytest.importorskip("matplotlib.figure")

Json = dict[str, Any]


@pytest.fixture
def saved(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """The figures that are saved, which are written all the same."""
    seen: list[Any] = []
    save = figures.Figure.savefig

    def spy(figure: Any, *args: Any, **kwargs: Any) -> None:
        seen.append(figure)
        save(figure, *args, **kwargs)

    monkeypatch.setattr(figures.Figure, "savefig", spy)
    return seen


def with_classes(metrics: CocoMetrics, ap50: dict[str, float]) -> CocoMetrics:
    """The same metrics with made-up classes, each of constant precision."""
    return replace(
        metrics,
        per_class={name: ClassMetrics(value / 2, value, 10) for name, value in ap50.items()},
        curves={name: (value,) * 101 for name, value in ap50.items()},
    )


def legend_of(figure: Any) -> list[str]:
    return [text.get_text() for text in figure.axes[0].get_legend().get_texts()]


def test_every_class_of_a_few(truth: Json, perfect: list[Json], tmp_path: Path, saved: list[Any]) -> None:
    metrics = evaluate_coco(truth, perfect[:1])
    plot_precision_recall(tmp_path / "pr.png", metrics)
    assert legend_of(saved[0]) == ["1.000  cat", "0.000  dog", "0.500  mean of all classes"]
    lines = [line.get_ydata() for line in saved[0].axes[0].lines]
    assert [list(line) for line in lines] == [[1] * 101, [0] * 101, [0.5] * 101]
    assert Image.open(tmp_path / "pr.png").size > (800, 500)


def test_best_and_worst_of_many(truth: Json, tmp_path: Path, saved: list[Any]) -> None:
    metrics = with_classes(evaluate_coco(truth, []), {f"class {n:02}": n / 100 for n in range(30)})
    plot_precision_recall(tmp_path / "pr.png", metrics)
    shown = [label.split("  ")[1] for label in legend_of(saved[0])]
    assert shown == [f"class {n}" for n in (29, 28, 27, 26, 25)] + [f"class 0{n}" for n in (4, 3, 2, 1, 0)] + [
        "mean of all classes"
    ]
    assert legend_of(saved[0])[-1].startswith("0.145")
    assert "five best and the five worst of 30" in saved[0].axes[0].get_title()
    styles = {(line.get_color(), line.get_linestyle()) for line in saved[0].axes[0].lines}
    assert len(styles) == 11


def test_no_curve(truth: Json, tmp_path: Path, saved: list[Any]) -> None:
    truth["annotations"] = []
    plot_precision_recall(tmp_path / "pr.png", evaluate_coco(truth, []))
    assert [text.get_text() for text in saved[0].axes[0].texts] == ["no class has an object"]


def cells_of(figure: Any) -> dict[tuple[int, int], str]:
    """Text by row and column."""
    return {
        (round(t.get_position()[1]), round(t.get_position()[0])): t.get_text()
        for t in figure.axes[0].texts
        if t.get_text()
    }


def labels_of(figure: Any) -> tuple[list[str], list[str]]:
    axes = figure.axes[0]
    return tuple([label.get_text() for label in labels] for labels in (axes.get_yticklabels(), axes.get_xticklabels()))


def test_rows_are_shares_of_the_objects(tmp_path: Path, saved: list[Any]) -> None:
    # cat, never (does not occur), dog, background
    counts = np.array([[6, 0, 1, 1], [0, 0, 0, 0], [0, 0, 2, 0], [3, 0, 1, 0]])
    plot_confusion_matrix(tmp_path / "cm.png", counts, ["cat", "never", "dog"], score_threshold=0.25)
    rows, columns = labels_of(saved[0])
    assert rows == ["cat  (8)", "dog  (2)", "background  (4)"]
    assert columns == ["cat", "dog", "background (missed)"]
    assert cells_of(saved[0]) == {
        (0, 0): "75",
        (0, 1): "12",
        (0, 2): "12",
        (1, 1): "100",
        (2, 0): "75",
        (2, 1): "25",
    }
    assert "score 0.25" in saved[0].axes[0].get_title()


def test_eighty_names_do_not_overlap(tmp_path: Path, saved: list[Any]) -> None:
    names = [f"a rather long class name {n}" for n in range(80)]
    plot_confusion_matrix(tmp_path / "cm.png", np.eye(81, dtype=np.int64), names, score_threshold=0.25)
    axes = saved[0].axes[0]
    for labels, low, high in ((axes.get_yticklabels(), "y0", "y1"), (axes.get_xticklabels(), "x0", "x1")):
        boxes = [text.get_window_extent() for text in labels]
        spans = sorted({(getattr(box, low), getattr(box, high)) for box in boxes})  # the same above and below
        assert len(spans) == 81
        assert all(first[1] <= second[0] for first, second in pairwise(spans))


def test_rare_classes_are_added_up(tmp_path: Path, saved: list[Any]) -> None:
    counts = np.diag([*range(1, 251), 0])
    names = [f"class {n}" for n in range(250)]
    plot_confusion_matrix(tmp_path / "cm.png", counts, names, score_threshold=0.25)
    rows, _ = labels_of(saved[0])
    assert rows[0] == "class 151  (152)"
    assert rows[-2:] == [f"151 rarer classes  ({sum(range(1, 152))})", "background  (0)"]
    assert len(rows) == 101


@pytest.mark.filterwarnings("ignore:Glyph")  # of a script that the font does not have
@pytest.mark.parametrize("name", ["$", "_hidden", "a$b$c", r"\frac{", "", "猫"])
def test_any_class_name(truth: Json, perfect: list[Json], name: str, tmp_path: Path) -> None:
    metrics = with_classes(evaluate_coco(truth, perfect), {name: 0.5})
    plot_precision_recall(tmp_path / "pr.png", metrics)
    plot_confusion_matrix(tmp_path / "cm.png", np.ones((2, 2), np.int64), [name], score_threshold=0.5)
    for file in ("pr.png", "cm.png"):
        assert Image.open(tmp_path / file).convert("L").getextrema() != (255, 255)


def test_sizes_must_fit(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"counts must be \[4, 4\] for 3 classes, got \[3, 3\]"):
        plot_confusion_matrix(tmp_path / "a.png", np.zeros((3, 3), np.int64), ["a", "b", "c"], score_threshold=0.5)
