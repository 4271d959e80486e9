"""`scripts/train_*.py` and `scripts/compare_samplers.py`, as typed; whole runs: tests/training."""

import runpy
import sys
from pathlib import Path

import pytest

SCRIPTS = Path(__file__).parents[2] / "scripts"
NAMES = ("train_ssdlite", "train_deeplabv3", "train_classifier", "compare_samplers")


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (["--epochs", "three"], "error: --epochs: int wanted, got 'three'"),
        (["--config", "nowhere.yaml"], "error: recipe not found: nowhere.yaml"),
        (["--help"], 0),
    ],
)
def test_problems_are_one_line(
    name: str, arguments: list[str], code: object, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", [name, *arguments])
    with pytest.raises(SystemExit) as caught:
        runpy.run_path(str(SCRIPTS / f"{name}.py"), run_name="__main__")
    assert caught.value.code == code
    if arguments == ["--help"]:
        assert "--evaluate-every" in capsys.readouterr().out
