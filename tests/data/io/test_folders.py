import os
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from mvdet.data.io.folders import MARKER, build_dataset

SETTINGS = {"name": "test", "sizes": (1, 2)}


def write(folder: Path) -> dict[str, int]:
    (folder / "images").mkdir()
    (folder / "images" / "a.txt").write_text("a")
    return {"count": 1}


def refuse(folder: Path) -> dict[str, int]:
    raise AssertionError(f"{folder} should not be built again")


def test_built_once(tmp_path: Path) -> None:
    root = tmp_path / "deep" / "down" / "data"
    assert build_dataset(root, SETTINGS, write) == {"count": 1}
    assert build_dataset(root, SETTINGS, refuse) == {"count": 1}
    assert sorted(path.name for path in root.iterdir()) == ["images", MARKER]
    assert list(root.parent.iterdir()) == [root]


def test_an_empty_folder_is_filled_and_a_link_followed(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "real")
    build_dataset(tmp_path / "link", SETTINGS, write)
    assert (tmp_path / "link").is_symlink()
    assert (tmp_path / "real" / "images" / "a.txt").is_file()


def test_other_things_are_left_alone(tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.txt").write_text("x")
    with pytest.raises(FileExistsError, match="is not a data set made by mvdet"):
        build_dataset(tmp_path / "mine", SETTINGS, refuse)
    with pytest.raises(FileExistsError, match="is not a data set made by mvdet"):
        build_dataset(tmp_path / "mine" / "thesis.txt", SETTINGS, refuse)
    assert (tmp_path / "mine" / "thesis.txt").read_text() == "x"


def test_other_settings_are_refused(tmp_path: Path) -> None:
    build_dataset(tmp_path / "data", SETTINGS, write)
    with pytest.raises(FileExistsError, match=r"made with .*'test'.*, not with .*'other'"):
        build_dataset(tmp_path / "data", SETTINGS | {"name": "other"}, refuse)


def test_lost_files_are_noticed(tmp_path: Path) -> None:
    build_dataset(tmp_path / "data", SETTINGS, write)
    (tmp_path / "data/images/more.txt").write_text("files may be added, as ultralytics does with its caches")
    build_dataset(tmp_path / "data", SETTINGS, refuse)
    for file in (tmp_path / "data/images").iterdir():
        file.unlink()
    with pytest.raises(RuntimeError, match=r"lost files \(images: 0 of 1\)"):
        build_dataset(tmp_path / "data", SETTINGS, refuse)


def test_an_unreadable_marker_is_named(tmp_path: Path) -> None:
    build_dataset(tmp_path / "data", SETTINGS, write)
    (tmp_path / "data" / MARKER).write_text("{}")
    with pytest.raises(FileExistsError, match=rf"{MARKER} is not readable"):
        build_dataset(tmp_path / "data", SETTINGS, refuse)


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt])
def test_a_build_that_fails_leaves_nothing(tmp_path: Path, error: type[BaseException]) -> None:
    def fail(folder: Path) -> dict[str, int]:
        write(folder)
        raise error("half-way")

    with pytest.raises(error, match="half-way"):
        build_dataset(tmp_path / "data", SETTINGS, fail)
    assert list(tmp_path.iterdir()) == []


def slower_than(faster: Callable[[], object]) -> Callable[[Path], dict[str, int]]:
    """A writer during whose work another process finishes."""

    def write_slowly(folder: Path) -> dict[str, int]:
        faster()
        return write(folder) | {"count": 2}

    return write_slowly


def test_the_faster_process_wins(tmp_path: Path) -> None:
    root = tmp_path / "data"
    result = build_dataset(root, SETTINGS, slower_than(lambda: build_dataset(root, SETTINGS, write)))
    assert result == {"count": 1}
    assert list(tmp_path.iterdir()) == [root]


def test_the_faster_process_builds_something_else(tmp_path: Path) -> None:
    root = tmp_path / "data"
    with pytest.raises(FileExistsError, match="'other'"):
        build_dataset(root, SETTINGS, slower_than(lambda: build_dataset(root, {"name": "other"}, write)))
    assert list(tmp_path.iterdir()) == [root]


def test_leftovers_of_killed_builds_go_after_an_hour(tmp_path: Path) -> None:
    old, new, other = (tmp_path / name for name in (".data.building-1", ".data.building-2", ".more.building-1"))
    for folder in (old, new, other):
        write_to = folder / "images"
        write_to.mkdir(parents=True)
    for folder in (old, other):
        os.utime(folder, (time.time() - 3700, time.time() - 3700))
    build_dataset(tmp_path / "data", SETTINGS, write)
    assert (old.exists(), new.exists(), other.exists()) == (False, True, True)


@pytest.mark.skipif(os.name != "posix", reason="permission bits are POSIX's")
def test_others_may_read_it(tmp_path: Path) -> None:
    before = os.umask(0o022)
    try:
        build_dataset(tmp_path / "data", SETTINGS, write)
    finally:
        os.umask(before)
    assert (tmp_path / "data").stat().st_mode & 0o777 == 0o755
