"""The command line in its short form; CI runs all parts of it."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


def benchmark(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(ROOT / "scripts" / "benchmark.py"), *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=600)


@pytest.mark.slow
def test_parts_write_tables_and_plots(tmp_path: Path) -> None:
    pytest.importorskip("timm")
    pytest.importorskip("transformers")
    parts = ["counts", "deeplabv3", "yolo", "coco"]
    done = benchmark(*parts, "--short", "--output", str(tmp_path))
    assert done.returncode == 0, done.stderr
    tables = (tmp_path / "tables.md").read_text()
    assert all(f"## {part}\n" in tables for part in parts)
    rows = json.loads((tmp_path / "results.json").read_text())["rows"]
    assert {row["part"] for row in rows} == {"deeplabv3", "yolo", "coco"}
    assert all(row["ratio"] > 0 for row in rows)
    same = [row for row in rows if row["part"] == "yolo" or row["rival"] == "transformers"]
    assert all(row["difference"] is None or row["difference"] < 1e-4 for row in same)
    assert {file.name for file in tmp_path.glob("*.png")} == {f"{p}.png" for p in parts if p != "counts"}


def test_an_unknown_part_is_named() -> None:
    done = benchmark("speed")
    assert done.returncode == 2
    assert "no part speed; available: counts, inference" in done.stderr
