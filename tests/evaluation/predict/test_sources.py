"""Which files a command line means, and what their copies are called."""

from pathlib import Path, PurePath

import numpy as np
import pytest

from mvdet.evaluation.predict.sources import (
    BadVideoError,
    VideoReader,
    VideoWriter,
    check_not_overwritten,
    find_files,
    output_names,
)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name in ("b.jpg", "A.PNG", "notes.txt", "sub/c.mp4", "sub/deep/a.jpg", ".hidden/d.jpg", "sub/._e.jpg"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    return tmp_path


def names(files: list[Path], folder: Path) -> list[str]:
    return [file.relative_to(folder).as_posix() for file in files]


def test_a_folder_to_its_depths(folder: Path) -> None:
    found = find_files([folder], output=Path("out"))
    assert names(found, folder) == ["A.PNG", "b.jpg", "sub/c.mp4", "sub/deep/a.jpg"]


def test_patterns(folder: Path) -> None:
    assert names(find_files([f"{folder}/*.jpg"], output=Path("out")), folder) == ["b.jpg"]
    (folder / "__MACOSX").mkdir()
    (folder / "__MACOSX/a.jpg").touch()
    with pytest.raises(FileNotFoundError, match=r"no image and no video"):  # but hidden ones
        find_files([f"{folder}/*/*.jpg"], output=Path("out"))
    found = find_files([f"{folder}/**/a.jpg"], output=Path("out"))
    assert names(found, folder) == ["sub/deep/a.jpg"]


def test_relative_patterns(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(folder)
    assert find_files(["sub/*/*.jpg"], output=Path("out")) == [Path("sub/deep/a.jpg")]


def test_a_file_is_taken_whatever_it_is_called_and_each_once(folder: Path) -> None:
    found = find_files([folder / "notes.txt", folder / "b.jpg", folder / "sub" / ".." / "b.jpg"], output=Path("out"))
    assert names(found, folder) == ["notes.txt", "b.jpg"]


def test_earlier_results_are_no_sources(folder: Path) -> None:
    assert names(find_files([folder], output=folder / "sub"), folder) == ["A.PNG", "b.jpg"]


@pytest.mark.parametrize(
    ("source", "message"),
    [("nowhere.jpg", "source not found: nowhere.jpg"), ("no/*.jpg", r"no/\*\.jpg: no image and no video; looked for")],
)
def test_nothing_there(source: str, message: str) -> None:
    with pytest.raises(FileNotFoundError, match=message):
        find_files([source], output=Path("out"))


def test_a_folder_without_pictures(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=f"{tmp_path}: no image and no video"):
        find_files([tmp_path], output=Path("out"))


def test_names_do_not_meet() -> None:
    files = [Path(name) for name in ("x/a.jpg", "y/a.jpg", "y/A.JPG", "y/b.avi", "y/b.mkv", "y/c.tif", "y/c.png")]
    wanted = ("x/a.jpg", "y/a.jpg", "y/A-2.JPG", "y/b.mp4", "y/b-2.mp4", "y/c.png", "y/c-2.png")
    assert list(output_names(files).values()) == [PurePath(name) for name in wanted]


def test_a_single_file_keeps_its_name() -> None:
    assert output_names([Path("deep/in/here.jpeg")]) == {Path("deep/in/here.jpeg"): PurePath("here.jpeg")}


def test_originals_are_not_overwritten(tmp_path: Path) -> None:
    (tmp_path / "a.jpg").touch()
    (tmp_path / "link").symlink_to(tmp_path)
    with pytest.raises(ValueError, match=r"a\.jpg: the output would overwrite this source"):
        check_not_overwritten([tmp_path / "a.jpg"], [tmp_path / "link" / "a.jpg"])
    check_not_overwritten([tmp_path / "a.jpg"], [tmp_path / "b.jpg"])


def write(file: Path, count: int = 10, fps: float = 12.5) -> None:
    with VideoWriter(file, fps, 96, 64) as writer:
        for index in range(count):
            writer.write(np.full((64, 96, 3), (25 * index, 0, 120), np.uint8))


def test_frames_come_back_in_order_and_colour(tmp_path: Path) -> None:
    write(tmp_path / "v.mp4")
    reader = VideoReader(tmp_path / "v.mp4")
    frames = list(reader)
    assert reader.fps == pytest.approx(12.5)
    assert [frame.shape for frame in frames] == [(64, 96, 3)] * 10
    means = np.array([frame.reshape(-1, 3).mean(axis=0) for frame in frames])
    assert means[:, 0] == pytest.approx(25 * np.arange(10), abs=8)
    assert means[:, 2] == pytest.approx(np.full(10, 120), abs=8)


@pytest.mark.parametrize("content", [b"", b"not a video"])
def test_no_video(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "v.mp4").write_bytes(content)
    with pytest.raises(BadVideoError, match=r"v\.mp4: not a video that OpenCV can read"):
        VideoReader(tmp_path / "v.mp4")


def test_a_video_that_is_cut_short_is_noticed(tmp_path: Path) -> None:
    noise = np.random.default_rng(0).integers(0, 255, (40, 64, 96, 3), dtype=np.uint8)  # makes the file large
    with VideoWriter(tmp_path / "v.avi", 10, 96, 64) as writer:
        for frame in noise:
            writer.write(frame)
    data = (tmp_path / "v.avi").read_bytes()
    (tmp_path / "v.avi").write_bytes(data[: len(data) // 2])
    with pytest.raises(BadVideoError, match=r"v\.avi: ends after [1-3]?\d of 40 frames"):
        list(VideoReader(tmp_path / "v.avi"))


def test_a_folder_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(OSError, match=r"OpenCV cannot write a video of 96 x 64 pixels at 12\.5 frames"):
        write(tmp_path / "nowhere" / "v.mp4")
