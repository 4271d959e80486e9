"""What the evaluation of a classifier leaves behind."""

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from mvdet.evaluation.metrics.classification import ClassifiedImage
from mvdet.evaluation.reports.classification import format_classification, report_on_classification

NAMES = ("cat", "dog", "<bird>")


@pytest.fixture
def found(tmp_path: Path) -> list[ClassifiedImage]:
    """Four images; two are taken for a wrong class, the second of them with the higher score."""
    answers = [(0, (0, 1, 2), (0.8, 0.1, 0.1)), (0, (1, 0, 2), (0.5, 0.4, 0.1)), (2, (1, 2, 0), (0.9, 0.06, 0.04))]
    images = []
    for n, (label, classes, scores) in enumerate([*answers, (1, (1, 0, 2), (0.7, 0.2, 0.1))]):
        Image.fromarray(np.full((20, 30, 3), 40 * n, np.uint8)).save(tmp_path / f"{n}.png")
        images.append(ClassifiedImage(str(tmp_path / f"{n}.png"), label, classes, scores))
    return images


def test_what_is_written(found: list[ClassifiedImage], tmp_path: Path) -> None:
    output = tmp_path / "new" / "out"
    metrics = report_on_classification(output, found, NAMES)
    assert (metrics.top1, metrics.top5) == (0.5, 1.0)
    assert json.loads((output / "metrics.json").read_text()) == metrics.as_dict()
    results = json.loads((output / "results.json").read_text())
    assert [(one["class_name"], one["classes"][0]["class_name"]) for one in results] == [
        ("cat", "cat"), ("cat", "dog"), ("<bird>", "dog"), ("dog", "dog"),
    ]  # fmt: skip
    assert (output / "confusion_matrix.png").is_file()
    page = (output / "mistakes" / "index.html").read_text()
    assert page.count("<tr>") == 3
    assert page.index("2.png") < page.index("1.png")  # the surer mistake first
    assert "<td>&lt;bird&gt;</td>" in page


def test_many_classes_have_no_matrix_and_no_rows(found: list[ClassifiedImage], tmp_path: Path) -> None:
    names = [*NAMES, *(f"class {n}" for n in range(98))]
    metrics = report_on_classification(tmp_path / "out", found, names, most_mistakes=1)
    assert not (tmp_path / "out" / "confusion_matrix.png").exists()
    assert (tmp_path / "out" / "mistakes" / "index.html").read_text().count("<tr>") == 2
    assert format_classification(metrics) == "4 images\n\ntop-1 50.0  top-5 100.0"


def test_table(found: list[ClassifiedImage], tmp_path: Path) -> None:
    lines = format_classification(report_on_classification(tmp_path / "out", found, NAMES)).splitlines()
    assert [line.split() for line in lines[4:]] == [
        ["class", "images", "top-1"], ["cat", "2", "50.0"], ["dog", "1", "100.0"], ["<bird>", "1", "0.0"],
    ]  # fmt: skip
