"""Pictures and videos in, annotated copies and json out."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from mvdet.evaluation.predict.drawing import class_colour
from mvdet.evaluation.predict.run import predict
from mvdet.evaluation.predict.sources import VideoReader, VideoWriter
from mvdet.models.trained import TrainedDetector

Painter = Callable[..., NDArray[np.uint8]]


@pytest.fixture
def folder(tmp_path: Path, red_picture: Painter) -> Path:
    """`in/one/a.png`, `in/two/a.png`."""
    for name, size, box in (("one", (300, 200), (30, 40, 130, 90)), ("two", (160, 80), (100, 10, 150, 60))):
        (tmp_path / "in" / name).mkdir(parents=True)
        Image.fromarray(red_picture(*size, box)).save(tmp_path / "in" / name / "a.png")
    return tmp_path


def detections(output: Path) -> dict[str, Any]:
    content = json.loads((output / "detections.json").read_text(encoding="utf-8"))
    return {Path(entry["file"]).relative_to(output.parent / "in").as_posix(): entry for entry in content["sources"]}


@pytest.mark.parametrize("batch_size", [1, 8])
def test_pictures(folder: Path, red_detector: TrainedDetector, batch_size: int) -> None:
    result = predict(red_detector, [folder / "in"], folder / "out", batch_size=batch_size)
    assert (result.files, result.objects, result.problems) == (2, 2, ())
    found = detections(folder / "out")
    one, two = found["one/a.png"], found["two/a.png"]
    assert (one["width"], one["height"], one["output"]) == (300, 200, "one/a.png")
    assert one["objects"][0].items() >= {"class_name": "red", "label": 1, "score": 0.9}.items()
    assert one["objects"][0]["box"] == pytest.approx([30, 40, 130, 90], abs=2.5)  # found at 80 x 160
    assert two["objects"][0]["box"] == [100, 10, 150, 60]  # exact: not resized
    copy = np.asarray(Image.open(folder / "out" / "two" / "a.png"))
    assert copy.shape == (80, 160, 3)
    assert tuple(copy[40, 100]) == class_colour(1)


def test_the_threshold(folder: Path, red_detector: TrainedDetector) -> None:
    source = folder / "in" / "one" / "a.png"
    for threshold, count in ((0.1, 2), (0.2, 2), (0.3, 1), (0.95, 0)):
        assert predict(red_detector, [source], folder / "out", score_threshold=threshold).objects == count
    with pytest.raises(ValueError, match="score_threshold must be between 0 and 1, got 30"):
        predict(red_detector, [source], folder / "out", score_threshold=30)


def test_the_size_that_the_detector_sees(folder: Path, red_detector: TrainedDetector) -> None:
    predict(red_detector, [folder / "in" / "one"], folder / "out", size=(200, 300))
    assert detections(folder / "out")["one/a.png"]["objects"][0]["box"] == [30, 40, 130, 90]


def test_pictures_are_turned_upright(tmp_path: Path, red_detector: TrainedDetector, red_picture: Painter) -> None:
    upright = Image.fromarray(red_picture(160, 80, (100, 10, 150, 60)))
    exif = Image.Exif()
    exif[0x0112] = 6  # the stored picture must be turned clockwise by 90 degrees
    (tmp_path / "in").mkdir()
    upright.transpose(Image.Transpose.ROTATE_90).save(tmp_path / "in" / "a.jpg", exif=exif, quality=100, subsampling=0)
    predict(red_detector, [tmp_path / "in"], tmp_path / "out")
    entry = detections(tmp_path / "out")["a.jpg"]
    assert (entry["width"], entry["height"]) == (160, 80)
    assert entry["objects"][0]["box"] == pytest.approx([100, 10, 150, 60], abs=1)
    with Image.open(tmp_path / "out" / "a.jpg") as copy:
        assert copy.size == (160, 80)
        assert copy.getexif().get(0x0112, 1) == 1


def test_a_video(tmp_path: Path, red_detector: TrainedDetector, red_picture: Painter) -> None:
    (tmp_path / "in").mkdir()
    writer = cv2.VideoWriter(str(tmp_path / "in" / "v.avi"), cv2.VideoWriter.fourcc(*"MJPG"), 12.5, (160, 80))
    for index in range(10):
        writer.write(np.ascontiguousarray(red_picture(160, 80, (8 * index, 16, 8 * index + 48, 64))[..., ::-1]))
    writer.release()
    result = predict(red_detector, [tmp_path / "in"], tmp_path / "out", batch_size=4)
    assert (result.files, result.objects, result.problems) == (1, 10, ())
    entry = detections(tmp_path / "out")["v.avi"]
    assert (entry["output"], entry["width"], entry["height"], entry["fps"]) == ("v.mp4", 160, 80, 12.5)
    assert [frame["index"] for frame in entry["frames"]] == list(range(10))
    assert [frame["time"] for frame in entry["frames"]] == pytest.approx([0.08 * index for index in range(10)])
    for index, frame in enumerate(entry["frames"]):
        assert frame["objects"][0]["box"] == pytest.approx([8 * index, 16, 8 * index + 48, 64], abs=3)
    copy = VideoReader(tmp_path / "out" / "v.mp4")
    frames = list(copy)
    assert copy.fps == pytest.approx(12.5)
    assert [frame.shape for frame in frames] == [(80, 160, 3)] * 10


def test_what_cannot_be_read_is_named_and_the_rest_is_done(folder: Path, red_detector: TrainedDetector) -> None:
    (folder / "in" / "broken.jpg").write_bytes(b"\xff\xd8\xff")
    (folder / "in" / "broken.mp4").write_bytes(b"nothing")
    result = predict(red_detector, [folder / "in"], folder / "out")
    assert (result.files, result.objects, len(result.problems)) == (2, 2, 2)
    content = json.loads((folder / "out" / "detections.json").read_text())
    assert [Path(entry["file"]).name for entry in content["problems"]] == ["broken.jpg", "broken.mp4"]
    assert all(str(folder / "in" / "broken.") in problem for problem in result.problems)


def test_a_video_cut_short_keeps_its_beginning(
    tmp_path: Path, red_detector: TrainedDetector, red_picture: Painter
) -> None:
    (tmp_path / "in").mkdir()
    file = tmp_path / "in" / "v.avi"
    noise = np.random.default_rng(0).integers(0, 90, (40, 80, 160, 3), dtype=np.uint8)  # makes the file large
    with VideoWriter(file, 10, 160, 80) as writer:
        for index in range(40):
            writer.write(np.maximum(noise[index] // 2, red_picture(160, 80, (2 * index, 16, 2 * index + 48, 64))))
    file.write_bytes(file.read_bytes()[: file.stat().st_size // 2])
    result = predict(red_detector, [file], tmp_path / "out")
    frames = detections(tmp_path / "out")["v.avi"]["frames"]
    assert 0 < len(frames) < 40
    assert result.problems == (f"{file}: ends after {len(frames)} of 40 frames",)
    assert len(list(VideoReader(tmp_path / "out" / "v.mp4"))) == len(frames)


def test_sources_are_not_overwritten(folder: Path, red_detector: TrainedDetector) -> None:
    before = (folder / "in" / "one" / "a.png").read_bytes()
    with pytest.raises(ValueError, match="the output would overwrite this source"):
        predict(red_detector, [folder / "in"], folder / "in")
    assert (folder / "in" / "one" / "a.png").read_bytes() == before


def test_a_missing_source_stops_before_anything_is_written(folder: Path, red_detector: TrainedDetector) -> None:
    with pytest.raises(FileNotFoundError, match=r"source not found: nowhere\.jpg"):
        predict(red_detector, [folder / "in", "nowhere.jpg"], folder / "out")
    assert not (folder / "out").exists()
