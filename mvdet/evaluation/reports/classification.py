"""Everything the evaluation of a classifier leaves behind, in one folder, and the table for the terminal."""

import json
from collections.abc import Sequence
from functools import partial
from pathlib import Path

from matplotlib.axes import Axes

from mvdet.data.io.images import read_image
from mvdet.evaluation.metrics.classification import (
    ClassificationMetrics,
    ClassifiedImage,
    class_confusion,
    classification_metrics,
)
from mvdet.evaluation.reports.plots import MOST_CLASSES, plot_class_confusion
from mvdet.evaluation.reports.sheet import Panel, write_page
from mvdet.evaluation.reports.text import percent, shorten, table_lines, write_json
from mvdet.evaluation.run.classification import scored_classes


def report_on_classification(
    output: Path, found: Sequence[ClassifiedImage], class_names: Sequence[str], *, most_mistakes: int = 24
) -> ClassificationMetrics:
    """Measure, and write results, metrics and pictures.

        results.json           of each image the file, the label, and the five best classes with their scores
        metrics.json           `ClassificationMetrics.as_dict()`
        confusion_matrix.png   of up to 100 classes; more would not be readable
        mistakes/              contact_sheet.png and index.html: the wrong classes with the highest scores

    Files of these names are overwritten, others stay.

    Args:
        output: the folder, created where it is missing.
        found: one for each image, of `run_classifier`.
        class_names: by class number.
        most_mistakes: at most so many are shown.

    Raises:
        ValueError: there is no image, or one that cannot be read.
    """
    metrics = classification_metrics(found, class_names)
    output.mkdir(parents=True, exist_ok=True)
    lines = ",\n".join(json.dumps(_entry(one, class_names), ensure_ascii=False) for one in found)
    (output / "results.json").write_text(f"[\n{lines}\n]\n", encoding="utf-8")
    write_json(output / "metrics.json", metrics.as_dict())
    if len(class_names) <= MOST_CLASSES:
        counts = class_confusion(found, len(class_names))
        plot_class_confusion(output / "confusion_matrix.png", counts, class_names, unit="image")
    _write_mistakes(output / "mistakes", found, class_names, most_mistakes)
    return metrics


def format_classification(metrics: ClassificationMetrics, *, most: int = 50) -> str:
    """The two accuracies and, of up to `most` classes, each one's, in per cent with one decimal."""
    lines = [f"{metrics.images} images", "", f"top-1 {percent(metrics.top1)}  top-5 {percent(metrics.top5)}"]
    if len(metrics.per_class) <= most:
        rows = [(name, images, percent(accuracy)) for name, (accuracy, images) in metrics.per_class.items()]
        lines += ["", *table_lines(("class", "images", "top-1"), (6, 6), rows)]
    return "\n".join(lines)


def _entry(one: ClassifiedImage, class_names: Sequence[str]) -> dict[str, object]:
    best = scored_classes(one.classes, one.scores, class_names)
    return {"file": one.file, "label": one.label, "class_name": class_names[one.label], "classes": best}


def _write_mistakes(folder: Path, found: Sequence[ClassifiedImage], class_names: Sequence[str], most: int) -> None:
    wrong = sorted((one for one in found if one.classes[0] != one.label), key=lambda one: -one.scores[0])[:most]
    panels: list[Panel] = []
    rows = []
    for n, one in enumerate(wrong, start=1):
        true, taken = class_names[one.label], class_names[one.classes[0]]
        caption = f"{n}. {shorten(taken)} {one.scores[0]:.2f}\nis {shorten(true)}"
        panels.append((caption, partial(_draw, file=one.file)))
        share = dict(zip(one.classes, one.scores, strict=True)).get(one.label)
        last = "below the fifth" if share is None else f"{share:.3f}"
        rows.append((str(n), one.file, true, taken, f"{one.scores[0]:.3f}", last))
    write_page(
        folder,
        panels,
        nothing="no mistakes",
        title="The worst mistakes",
        text="The images that were taken for a wrong class, by its score: the surest mistakes first.",
        heads=("", "picture", "class", "taken for", "score", "score of its class"),
        rows=rows,
    )


def _draw(axes: Axes, file: str) -> None:
    axes.imshow(read_image(file), interpolation="bilinear")
