"""Classifiers and segmentation networks on pictures and videos. Detectors: test_run.py."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor, nn

from mvdet.data.io.masks import read_mask
from mvdet.evaluation.predict.drawing import draw_lines, draw_mask, legend_lines, mask_colours
from mvdet.evaluation.predict.run import predict
from mvdet.evaluation.predict.sources import VideoReader
from mvdet.models.trained import TrainedClassifier, TrainedDetector, TrainedSegmenter

Painter = Callable[..., NDArray[np.uint8]]
BOX = (80, 60, 130, 90)


class RedPixels(nn.Module):
    """Class 1 where a picture is red, else class 0."""

    def forward(self, images: Tensor, upsample: bool = False) -> dict[str, Tensor]:
        red = (images[:, :1] > 0.6) & (images[:, 1:].amax(dim=1, keepdim=True) < 0.4)
        return {"out": torch.cat([~red, red], dim=1).float()}


class Redness(nn.Module):
    """Two logits: 0, and a number that is above it where more than a tenth of the picture is red."""

    def forward(self, images: Tensor) -> Tensor:
        share = RedPixels()(images)["out"][:, 1].mean(dim=(1, 2))
        return torch.stack([torch.zeros_like(share), 10 * (share - 0.1)], dim=1)


@pytest.fixture
def segmenter() -> TrainedSegmenter:
    return TrainedSegmenter(RedPixels().eval(), ("background", "red"), (100, 150))


@pytest.fixture
def folder(tmp_path: Path, red_picture: Painter) -> Path:
    """`in/a.png` and `in/a.bmp` of 150 x 100 pixels, whose masks must not be called alike, and `in/masks/a.png`."""
    (tmp_path / "in" / "masks").mkdir(parents=True)
    for name in ("a.png", "a.bmp", "masks/a.png"):
        Image.fromarray(red_picture(150, 100, BOX)).save(tmp_path / "in" / name)
    return tmp_path


def content(file: Path) -> dict[str, Any]:
    return json.loads(file.read_text(encoding="utf-8"))


@pytest.mark.parametrize("sliding_window", [False, True])
def test_masks_and_overlays(folder: Path, segmenter: TrainedSegmenter, sliding_window: bool) -> None:
    result = predict(segmenter, [folder / "in"], folder / "out", sliding_window=sliding_window, batch_size=2)
    assert (result.files, result.objects, result.problems) == (3, 0, ())
    found = content(result.json)
    assert result.json.name == "segmentations.json"
    assert (found["class_names"], found["sliding_window"]) == (["background", "red"], sliding_window)
    written = [entry[key] for entry in found["sources"] for key in ("output", "mask")]
    assert len({name.casefold() for name in written}) == 6
    x1, y1, x2, y2 = BOX
    wanted = np.zeros((100, 150), np.uint8)
    wanted[y1:y2, x1:x2] = 1
    for entry in found["sources"]:
        area = (x2 - x1) * (y2 - y1)
        assert entry["classes"] == [
            {"label": 0, "class_name": "background", "pixels": 15000 - area, "share": 1 - area / 15000},
            {"label": 1, "class_name": "red", "pixels": area, "share": area / 15000},
        ]
        assert (read_mask(folder / "out" / entry["mask"], 2) == wanted).all()
        copy = np.asarray(Image.open(folder / "out" / entry["output"]))
        assert (copy[y2:, x2:] == 120).all()  # the background stays clear
        assert tuple(copy[y1 + 5, x1 + 5]) == (round(0.45 * 255 + 0.55 * 128), 0, 0)
        assert tuple(copy[9, 6]) == (128, 0, 0)  # the legend's square


def test_a_video_has_a_mask_for_each_frame(tmp_path: Path, segmenter: TrainedSegmenter, red_picture: Painter) -> None:
    writer = cv2.VideoWriter(str(tmp_path / "v.avi"), cv2.VideoWriter.fourcc(*"MJPG"), 10, (150, 100))
    for index in range(4):
        writer.write(np.ascontiguousarray(red_picture(150, 100, (16 * index, 16, 16 * index + 48, 64))[..., ::-1]))
    writer.release()
    result = predict(segmenter, [tmp_path / "v.avi"], tmp_path / "out", batch_size=3)
    (entry,) = content(result.json)["sources"]
    assert [frame["mask"] for frame in entry["frames"]] == [f"masks/v/{index:06d}.png" for index in range(4)]
    for index, frame in enumerate(entry["frames"]):
        mask = read_mask(tmp_path / "out" / frame["mask"], 2)
        columns = np.flatnonzero(mask.any(axis=0))
        assert np.abs(columns[[0, -1]] - [16 * index, 16 * index + 47]).max() <= 2
        assert frame["classes"][1]["pixels"] == (mask == 1).sum()
    assert len(list(VideoReader(tmp_path / "out" / "v.mp4"))) == 4


def test_classes_and_captions(tmp_path: Path, red_picture: Painter) -> None:
    (tmp_path / "in").mkdir()
    for name, box in (("much", (10, 10, 140, 90)), ("little", (70, 45, 80, 55))):
        Image.fromarray(red_picture(150, 100, box)).save(tmp_path / "in" / f"{name}.png")
    classifier = TrainedClassifier(Redness().eval(), ("other", "red"), (64, 64))
    result = predict(classifier, [tmp_path / "in"], tmp_path / "out")
    assert result.json.name == "classifications.json"
    little, much = content(result.json)["sources"]
    assert [one["class_name"] for one in much["classes"]] == ["red", "other"]
    assert [one["class_name"] for one in little["classes"]] == ["other", "red"]
    assert sum(one["score"] for one in much["classes"]) == pytest.approx(1, abs=2e-4)
    picture = red_picture(150, 100, (10, 10, 140, 90))
    copy = np.asarray(Image.open(tmp_path / "out" / "much.png"))
    assert (copy != picture)[:40, :80].any()
    assert (copy == picture)[60:].all()


def test_arguments_of_another_task(folder: Path, segmenter: TrainedSegmenter, red_detector: TrainedDetector) -> None:
    with pytest.raises(ValueError, match="score_threshold is for detectors, the model is a segmentation network"):
        predict(segmenter, [folder / "in"], folder / "out", score_threshold=0.5)
    with pytest.raises(ValueError, match="sliding_window is for segmentation networks, the model is a detector"):
        predict(red_detector, [folder / "in"], folder / "out", sliding_window=True)
    assert not (folder / "out").exists()


def test_a_mask_does_not_take_a_sources_place(folder: Path, segmenter: TrainedSegmenter) -> None:
    with pytest.raises(ValueError, match="the output would overwrite this source"):
        predict(segmenter, [folder / "in" / "a.png", folder / "in" / "masks" / "a.png"], folder / "in")


def test_a_legend_names_the_largest_first() -> None:
    labels = np.array([[0, 0, 0], [2, 2, 2], [1, 2, 0]], np.uint8)
    assert legend_lines(labels, ("background", "cat", "dog")) == [((0, 128, 0), "dog"), ((128, 0, 0), "cat")]
    assert [name for _, name in legend_lines(labels, ("wall", "cat", "dog"))] == ["wall", "dog", "cat"]
    drawn = draw_mask(np.full((3, 3, 3), 100, np.uint8), labels, ("wall", "cat", "dog"))
    assert (drawn[0] == 45).all()  # without a background, black is a colour
    assert mask_colours()[255].tolist() == [224, 224, 192]


@pytest.mark.parametrize("size", [(1, 1), (8, 5), (30, 400), (600, 20)])
def test_lines_fit_any_picture(size: tuple[int, int]) -> None:
    picture = np.full((*size, 3), 90, np.uint8)
    drawn = draw_lines(picture, [((255, 0, 0), "a very long name of a class"), (None, "short")] * 9)
    assert drawn.shape == picture.shape
    assert (picture == 90).all()
    assert (draw_lines(picture, []) == 90).all()
