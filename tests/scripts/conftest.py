"""The scripts in this process: starting another one takes seconds."""

import runpy
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from small_runs import *  # noqa: F403 - the fixtures

SCRIPTS = Path(__file__).parents[2] / "scripts"

Script = Callable[..., str]


@pytest.fixture
def script(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Script:
    """Runs a script with arguments; returns what it prints."""

    def run(name: str, *arguments: object) -> str:
        monkeypatch.setattr(sys, "argv", [name, *map(str, arguments)])
        capsys.readouterr()
        runpy.run_path(str(SCRIPTS / f"{name}.py"))["main"]()
        return capsys.readouterr().out

    return run
