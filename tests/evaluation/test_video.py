"""Videos in and out."""

from pathlib import Path

import numpy as np
import pytest

from mvdet.evaluation.video import BadVideoError, VideoReader, VideoWriter


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
