import os
from pathlib import Path

import pytest

from mvdet.data.io.listing import is_hidden, is_no_file, visible_files


@pytest.mark.parametrize(
    ("path", "hidden"),
    [
        ("a.jpg", False),
        ("sub/a.b.jpg", False),
        (".a.jpg", True),
        ("._a.jpg", True),
        (".ipynb_checkpoints/a-checkpoint.jpg", True),
        ("sub/.git/a.jpg", True),
        ("__MACOSX/sub/a.jpg", True),
        ("__macosx", True),
        ("macosx/a", False),
    ],
)
def test_hidden(path: str, hidden: bool) -> None:
    assert is_hidden(path) is hidden


def test_files(tmp_path: Path) -> None:
    root = tmp_path / ".cache" / "set"  # what was asked for may itself be hidden
    names = ["b.jpg", "sub/deep/a.JPG", "c.png", ".d.jpg", ".ipynb_checkpoints/b.jpg", "__MACOSX/b.jpg", "e.txt", "jpg"]
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).touch()
    (root / "sub/loop").symlink_to(root)
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere/f.jpg").touch()
    (root / "linked").symlink_to(tmp_path / "elsewhere")
    found = [path.relative_to(root).as_posix() for path in visible_files(root, (".jpg", ".png"))]
    assert found == ["b.jpg", "c.png", "linked/f.jpg", "sub/deep/a.JPG"]


def test_names_that_no_file_can_have(tmp_path: Path) -> None:
    (tmp_path / "a").touch()
    for path in (tmp_path / "b", tmp_path / "a/b", tmp_path / ("c" * 300), tmp_path):
        with pytest.raises(OSError, match=r"Errno") as error:
            path.read_bytes()
        assert is_no_file(error.value)
    assert not is_no_file(PermissionError(13, os.strerror(13)))
