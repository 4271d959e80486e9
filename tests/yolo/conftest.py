"""Separate processes, as users start them: the `yolo` command and Python, with settings of their own."""

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).parents[2]
Run = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture(scope="session")
def environment(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """ultralytics' settings in an empty folder, no look at the network, and mvdet loading itself."""
    variables = {key: value for key, value in os.environ.items() if key != "MVDET_AUTOLOAD"}
    return variables | {"YOLO_CONFIG_DIR": str(tmp_path_factory.mktemp("settings")), "YOLO_OFFLINE": "true"}


@pytest.fixture(scope="session")
def python(environment: dict[str, str], tmp_path_factory: pytest.TempPathFactory) -> Run:
    """Runs `python ARGS` in an empty folder; extra keywords are environment variables."""
    folder = tmp_path_factory.mktemp("python")

    def run(*args: str, cwd: Path = folder, **variables: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, *map(str, args)]
        return subprocess.run(
            command, cwd=cwd, env=environment | variables, capture_output=True, text=True, timeout=600, check=False
        )

    return run


@pytest.fixture(scope="session")
def yolo(environment: dict[str, str]) -> Run:
    """Runs `yolo ARGS` in the given folder and returns its result, checked to have succeeded."""
    executable = Path(sys.executable).with_name("yolo")

    def run(*args: str, cwd: Path, **variables: str) -> subprocess.CompletedProcess[str]:
        result = subprocess.run(
            [str(executable), *map(str, args)],
            cwd=cwd,
            env=environment | variables,
            capture_output=True,
            text=True,
            timeout=900,
            check=False,
        )
        assert result.returncode == 0, result.stdout[-3000:] + result.stderr[-3000:]
        return result

    return run
