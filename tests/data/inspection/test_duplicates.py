from pathlib import Path

import pytest

from mvdet.data.inspection import duplicates
from mvdet.data.inspection.duplicates import in_both, same_pictures


def write(folder: Path, contents: list[bytes]) -> list[str]:
    folder.mkdir(exist_ok=True)
    files = [folder / str(number) for number in range(len(contents))]
    for file, content in zip(files, contents, strict=True):
        file.write_bytes(content)
    return [str(file) for file in files]


def test_equal_files_are_found_by_all_their_bytes(tmp_path: Path) -> None:
    long = b"x" * (1 << 16)
    first = write(tmp_path / "a", [b"one", b"two", long + b"1", b"one", long + b"3"])
    second = write(tmp_path / "b", [b"new", long + b"1", long + b"2", b"one"])
    groups = same_pictures([first, [*second, str(tmp_path / "nowhere")]])
    assert groups == [[(0, 0), (0, 3), (1, 3)], [(0, 2), (1, 1)]]
    assert in_both(groups) == [((0, 2), (1, 1)), ((0, 0), (1, 3))]
    assert in_both(same_pictures([first])) == []


def test_of_many_files_those_in_both_splits_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(duplicates, "MOST_WITHIN", 3)
    first = write(tmp_path / "a", [b"1", b"1", b"22"])
    assert same_pictures([[*first, *first], write(tmp_path / "b", [b"333", b"22"])]) == [[(0, 2), (0, 5), (1, 1)]]
