"""Who may write to a run's folder."""

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from mvdet.training import output
from mvdet.training.output import run_folder

HOLD = """
import sys, time
from pathlib import Path
from mvdet.training.output import run_folder
with run_folder(Path(sys.argv[1]), Path("runs")) as folder:
    print("held", flush=True)
    time.sleep(60)
"""


def test_a_second_run_is_refused_until_the_first_is_gone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The first one is killed: what it held is free at once, and nothing has to be removed by hand."""
    monkeypatch.setattr(output, "_PATIENCE_S", 0.1)
    folder = tmp_path / "run"
    process = subprocess.Popen([sys.executable, "-c", HOLD, str(folder)], stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        assert process.stdout.readline() == "held\n"
        wanted = f"another run that has not ended writes to {folder}; wait for its end, or choose another --output"
        with pytest.raises(FileExistsError, match=wanted), run_folder(folder, tmp_path):
            pytest.fail("two runs in one folder")
    finally:
        process.kill()
        process.wait()
    monkeypatch.setattr(output, "_PATIENCE_S", 5.0)
    start = time.monotonic()
    with run_folder(folder, tmp_path) as found:
        assert found == folder
    assert time.monotonic() - start < 4


def test_folders_are_numbered_and_taken_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "environ", dict(os.environ))
    with run_folder(None, tmp_path / "runs") as first, run_folder(None, tmp_path / "runs") as second:
        assert (first.name, second.name) == ("train", "train2")
        (second / "recipe.yaml").touch()
    assert [path.name for path in (tmp_path / "runs").iterdir()] == ["train2"]  # nothing was written to the other


def test_further_processes_take_the_first_ones(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "environ", {})
    monkeypatch.setattr(output, "rank", lambda: 1)
    with pytest.raises(ValueError, match="need the same --output"), run_folder(None, tmp_path):
        pytest.fail("no folder")
    os.environ["MVDET_RUN_OUTPUT"] = str(tmp_path / "first")
    with run_folder(None, tmp_path) as folder:
        assert folder == tmp_path / "first"
    with run_folder(tmp_path / "named", tmp_path) as folder:
        assert folder == tmp_path / "named"
    assert list(tmp_path.iterdir()) == []
