from pathlib import Path

import pytest
from PIL import Image


@pytest.fixture
def images(tmp_path: Path) -> Path:
    """A folder with the pictures of `truth`, white."""
    folder = tmp_path / "images"
    folder.mkdir()
    for n in (5, 2, 9):
        Image.new("RGB", (200, 100), "white").save(folder / f"{n}.png")
    return folder
