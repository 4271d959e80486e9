import json
from pathlib import Path
from typing import Any

import pytest

from mvdet.evaluation.metrics.coco import evaluate_coco
from mvdet.evaluation.reports.detection import evaluate_results_file, format_table, write_report

pytest.importorskip("matplotlib")

Json = dict[str, Any]
FILES = {"results.json", "metrics.json", "precision_recall.png", "confusion_matrix.png"}


@pytest.mark.parametrize("detections", [0, 3])
def test_what_is_written(truth: Json, perfect: list[Json], images: Path, tmp_path: Path, detections: int) -> None:
    results = perfect[:detections]
    metrics = evaluate_coco(truth, results)
    output = tmp_path / "new" / "folder"
    write_report(output, truth, results, metrics)
    assert {file.name for file in output.iterdir()} == FILES
    assert json.loads((output / "results.json").read_text()) == results
    assert json.loads((output / "metrics.json").read_text()) == metrics.as_dict()
    write_report(output, truth, results, metrics, images=images)
    assert {file.name for file in output.iterdir()} == FILES | {"mistakes"}
    assert {file.name for file in (output / "mistakes").iterdir()} == {"index.html", "contact_sheet.png"}


def test_old_files_are_replaced_and_others_stay(truth: Json, perfect: list[Json], tmp_path: Path) -> None:
    for name in (*FILES, "mine.txt"):
        (tmp_path / name).write_text("old")
    write_report(tmp_path, truth, perfect, evaluate_coco(truth, perfect))
    assert {name for name in (*FILES, "mine.txt") if (tmp_path / name).read_bytes() == b"old"} == {"mine.txt"}


def test_results_in_the_output_folder_itself(truth: Json, perfect: list[Json], tmp_path: Path) -> None:
    for name, content in (("a.json", truth), ("results.json", perfect)):
        (tmp_path / name).write_text(json.dumps(content))
    metrics = evaluate_results_file(tmp_path / "a.json", tmp_path / "results.json", tmp_path, backend="pycocotools")
    assert metrics.numbers["AP"] == pytest.approx(1)
    assert json.loads((tmp_path / "results.json").read_text()) == perfect
    assert json.loads((tmp_path / "metrics.json").read_text())["backend"] == "pycocotools"


def test_an_image_folder_that_is_none(truth: Json, tmp_path: Path) -> None:
    with pytest.raises(NotADirectoryError, match="nowhere: no such folder of images"):
        evaluate_results_file(tmp_path / "a", tmp_path / "r", tmp_path, images=tmp_path / "nowhere")


def test_table(truth: Json, perfect: list[Json]) -> None:
    lines = format_table(evaluate_coco(truth, perfect[:1], backend="pycocotools")).splitlines()
    assert lines[0].startswith("3 images, 3 objects, 1 crowds, 1 detections; bbox, pycocotools 2.")
    rows = [line.split() for line in lines]
    assert rows[2:4] == [["AP", "AP50", "AP75", "APs", "APm", "APl"], ["50.0", "50.0", "50.0", "-", "50.0", "-"]]
    assert rows[5:7] == [["AR1", "AR10", "AR100", "ARs", "ARm", "ARl"], ["50.0", "50.0", "50.0", "-", "50.0", "-"]]
    assert rows[8:] == [
        ["class", "objects", "AP", "AP50"],
        ["cat", "1", "100.0", "100.0"],
        ["dog", "2", "0.0", "0.0"],
        ["toothbrush", "0", "-", "-"],
    ]
    assert len({len(line) for line in lines[8:]}) == 1
