"""`scripts/check_data.py` as typed: its exit status, and problems on one line."""

import runpy
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

SCRIPT = Path(__file__).parents[2] / "scripts" / "check_data.py"


def run(monkeypatch: pytest.MonkeyPatch, *arguments: object) -> object:
    """What it exits with."""
    monkeypatch.setattr(sys, "argv", ["check_data", *map(str, arguments)])
    with pytest.raises(SystemExit) as caught:
        runpy.run_path(str(SCRIPT), run_name="__main__")
    return caught.value.code


def write_masks(root: Path) -> Path:
    root.mkdir()
    (root / "classes.txt").write_text("background\nthing\n")
    rng = np.random.default_rng(0)
    for split in ("train", "val"):
        for kind in ("images", "masks"):
            (root / kind / split).mkdir(parents=True)
        Image.fromarray(rng.integers(0, 256, (48, 64, 3), np.uint8)).save(root / "images" / split / "1.png")
        Image.fromarray((np.arange(48 * 64).reshape(48, 64) % 2 * 255).astype(np.uint8)).save(
            root / "masks" / split / "1.png"
        )
    return root


def test_exit_status(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.chdir(tmp_path)
    options = [write_masks(tmp_path / "set")]
    assert run(monkeypatch, *options) == 1
    assert "error: training data: of background, thing, the 1 masks hold background alone" in capsys.readouterr().out
    assert run(monkeypatch, *options, "--mask-values", 0, 255) == 0
    assert "nothing looks wrong" in capsys.readouterr().out
    assert (tmp_path / "runs" / "check_data" / "set" / "training" / "contact_sheet.png").is_file()
    assert run(monkeypatch, *options, "--mask-values", 0, 255, "--output", tmp_path / "report") == 0
    assert (tmp_path / "report" / "validation" / "contact_sheet.png").is_file()


def test_a_folder_that_is_not_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert run(monkeypatch, tmp_path / "nowhere") == f"error: {tmp_path}/nowhere: no such folder"
