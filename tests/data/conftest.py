"""Data sets that several test modules look at."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

REPOSITORY = Path(__file__).parents[2]


@pytest.fixture(scope="session")
def check_dataset(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """ultralytics' `check_det_dataset`, with an empty datasets_dir, an empty working directory and no font download."""
    from ultralytics.data import utils

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(utils, "DATASETS_DIR", tmp_path_factory.mktemp("datasets_dir"))
        patch.setattr(utils, "check_font", lambda font: None)

        def check(file: str) -> dict[str, Any]:
            patch.chdir(tmp_path_factory.mktemp("cwd"))
            try:
                return dict(utils.check_det_dataset(REPOSITORY / file))
            finally:
                patch.chdir(REPOSITORY)

        yield check


@pytest.fixture(scope="session")
def shapes_data(check_dataset: Any) -> dict[str, Any]:
    """The whole `shapes` set, made by its YAML file's download hook: the data dictionary that a trainer gets."""
    return dict(check_dataset("cfg/datasets/shapes.yaml"))


@pytest.fixture(scope="session")
def shapes_root(shapes_data: dict[str, Any]) -> Path:
    """The folder of the whole `shapes` set."""
    return Path(shapes_data["path"])


@pytest.fixture(scope="session")
def shared_bccd() -> Path:
    """The developers' copy of BCCD."""
    folder = REPOSITORY.parent / "shared" / "data" / "bccd"
    if not folder.is_dir():
        pytest.skip(f"no copy of BCCD at {folder}")
    return folder
