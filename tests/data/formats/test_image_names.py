"""Images by the names that tools give them."""

from pathlib import Path

import pytest

from mvdet.data.formats.image_names import ImageNames


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name in ("a.jpg", "sub/b c.jpg", "sub/deep/d.jpg", "x/same.jpg", "y/same.jpg", "1a2b3c4d-up.jpg", ".hid/e.jpg"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(b"")
    return tmp_path


@pytest.mark.parametrize(
    ("name", "wanted"),
    [
        ("a.jpg", "a.jpg"),
        ("./a.jpg", "a.jpg"),
        ("images/a.jpg", "a.jpg"),
        ("C:\\Users\\me\\images\\a.jpg", "a.jpg"),
        ("../../label-studio/data/media/upload/1/1a2b3c4d-up.jpg", "1a2b3c4d-up.jpg"),
        ("/data/local-files/?d=images/sub/b%20c.jpg", "sub/b c.jpg"),
        ("sub\\b c.jpg", "sub/b c.jpg"),
        ("d.jpg", "sub/deep/d.jpg"),
        ("up.jpg", "1a2b3c4d-up.jpg"),
        ("99999999-a.jpg", "a.jpg"),
        ("x/same.jpg", "x/same.jpg"),
        ("same.jpg", None),  # two of them
        ("e.jpg", None),  # hidden
        ("none.jpg", None),
        ("", None),
        ("..", None),
    ],
)
def test_find(name: str, wanted: str | None, folder: Path) -> None:
    assert ImageNames(folder).find(name) == (None if wanted is None else folder / wanted)


def test_not_deep(folder: Path) -> None:
    assert ImageNames(folder, deep=False).find("d.jpg") is None
    assert ImageNames(folder, deep=False).find("images/a.jpg") == folder / "a.jpg"
