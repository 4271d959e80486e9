"""The command line in its short form; CI runs all parts of it."""

import json
import runpy
import subprocess
import sys
from pathlib import Path

import cv2
import pytest

from mvdet.benchmarks.comparison import Comparison
from mvdet.benchmarks.measure import PairedTimes
from mvdet.benchmarks.suite import Findings, Settings, run

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.slow
def test_parts_write_tables_and_plots(tmp_path: Path) -> None:
    pytest.importorskip("timm")
    pytest.importorskip("transformers")
    parts = ["counts", "deeplabv3", "yolo", "coco"]
    command = [sys.executable, str(ROOT / "scripts" / "benchmark.py"), *parts, "--short", "--output", str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, done.stderr
    tables = (tmp_path / "tables.md").read_text()
    assert all(f"## {part}\n" in tables for part in parts)
    rows = json.loads((tmp_path / "results.json").read_text())["rows"]
    assert {row["part"] for row in rows} == {"deeplabv3", "yolo", "coco"}
    compared = {
        (row["part"], row["subject"], row["rival"]): row["difference"] for row in rows if row["difference"] is not None
    }
    # With equal weights: v1 against transformers, which does not dilate v2; YOLO on timm's backbone; COCO's numbers
    assert compared.keys() == {
        ("deeplabv3", "deeplabv3_mobilevit_xxs", "transformers"),
        ("yolo", "yolov5-mobilevit", "timm backbone"),
        ("coco", "evaluation", "pycocotools"),
    }
    assert max(compared.values()) < 1e-4
    assert {file.name for file in tmp_path.glob("*.png")} == {f"{p}.png" for p in parts if p != "counts"}


def test_findings_are_written_and_errors_returned(tmp_path: Path) -> None:
    row = Comparison("net", "inference", 1, 64, "other", PairedTimes((1.0, 1.0), (2.0, 3.0)), 1e-6)
    given: list[Settings] = []

    def first(settings: Settings) -> Findings:
        given.append(settings)
        return Findings([row], ["| a table |"], ["too slow"])

    parts = {"first": first, "second": lambda settings: Findings(errors=["too large"])}
    settings = Settings(("mobilevit_xxs",), (64,), 2, 1.0, True, tmp_path / "new" / "folder")
    assert run(parts, settings) == ["too slow", "too large"]
    assert given == [settings]
    tables = (settings.output / "tables.md").read_text()
    assert (
        tables.index("## first")
        < tables.index("| net | inference | 1 | 64 | other | 2.50")
        < tables.index("| a table |")
    )
    assert "## second" in tables
    (found,) = json.loads((settings.output / "results.json").read_text())["rows"]
    assert found == {"part": "first", **row.as_dict()}
    assert cv2.imread(str(settings.output / "first.png")).std() > 0
    assert not (settings.output / "second.png").exists()


def test_an_unknown_part_is_named(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(sys, "argv", ["benchmark.py", "speed"])
    with pytest.raises(SystemExit) as stopped:
        runpy.run_path(str(ROOT / "scripts" / "benchmark.py"))["main"]()
    assert stopped.value.code == 2
    assert "no part speed; available: counts, inference" in capsys.readouterr().err
