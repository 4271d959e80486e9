"""A detector at work on pictures and videos: annotated copies, and everything it found as json."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from itertools import islice
from pathlib import Path, PurePath
from typing import Any

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from tqdm import tqdm  # type: ignore[import-untyped]

from mvdet.data.detection import OBJECT_INDEX
from mvdet.data.detection_transforms import eval_transform
from mvdet.data.image_files import BadImageError, read_image
from mvdet.evaluation.detector import detect_batch
from mvdet.evaluation.drawing import DetectedObject, draw_detections
from mvdet.evaluation.sources import check_not_overwritten, find_files, is_video, output_names
from mvdet.evaluation.video import BadVideoError, VideoReader, VideoWriter
from mvdet.models.detection_io import TrainedDetector

DETECTIONS = "detections.json"
SCORE_THRESHOLD = 0.3


@dataclass(frozen=True, slots=True)
class Prediction:
    """What `predict` has done.

    Attributes:
        files: sources that were gone through to their end.
        objects: detections in all of them.
        problems: one line for each file that could not be read, or not to its end.
    """

    files: int
    objects: int
    problems: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class _Picture:
    """An image, or a frame of a video, upright: [H, W, 3] uint8 RGB."""

    file: Path
    pixels: NDArray[np.uint8]
    index: int = 0
    fps: float | None = None  # None for images


def predict(
    detector: TrainedDetector,
    sources: Sequence[str | Path],
    output: Path,
    *,
    score_threshold: float = SCORE_THRESHOLD,
    size: tuple[int, int] | None = None,
    device: torch.device | str = "cpu",
    batch_size: int = 8,
) -> Prediction:
    """Detect objects in pictures and videos, with a progress bar.

        OUTPUT/NAME              each picture with its boxes, each video as mp4 without sound (see `output_names`)
        OUTPUT/detections.json   what was found, one source a line

    Pictures are turned upright by their EXIF orientation, as viewers do: the detector sees them so, the copies are
    written so, and `width`, `height` and `box` (xyxy, pixels) in the json count so. (Data sets are read as stored.)
    A frame's `time` is its index divided by the frame rate, in seconds. Files of these names are overwritten, others
    stay. A file that cannot be read is noted, in the json too, and the rest goes on.

    Args:
        detector: of `mvdet.models.detection_io.find_detector`; its model is moved to the device.
        sources: files, folders and patterns, see `find_files`.
        output: a folder, created where it is missing.
        score_threshold: lowest score, 0 to 1.
        size: height and width that the detector sees; None takes those that it was trained at.
        device: where the model runs.
        batch_size: pictures at a time, 1 or more.

    Raises:
        FileNotFoundError: a source is not there, or has no pictures.
        ValueError: a number out of range, or an output that would overwrite a source.
        OSError: the output cannot be written.
    """
    if not 0 <= score_threshold <= 1:
        raise ValueError(f"score_threshold must be between 0 and 1, got {score_threshold}")
    if batch_size < 1:
        raise ValueError(f"batch_size must be at least 1, got {batch_size}")
    transform = eval_transform(*(size or detector.size))
    files = find_files(sources, output=output)
    names = output_names(files)
    check_not_overwritten(files, [output / name for name in names.values()])
    output.mkdir(parents=True, exist_ok=True)
    model = detector.model.to(device)
    problems: dict[Path, str] = {}
    pictures = iter(tqdm(_read(files, problems), desc="predict", unit="picture"))
    with _Copies(output, names) as copies:
        while batch := list(islice(pictures, batch_size)):
            prepared = [
                transform(image=one.pixels, bboxes=np.zeros((0, 4), np.float32), **{OBJECT_INDEX: []}) for one in batch
            ]
            # [H, W, 3] each -> [B, 3, H, W]
            images = torch.from_numpy(np.stack([one["image"] for one in prepared])).permute(0, 3, 1, 2)
            sizes = [(one.pixels.shape[0], one.pixels.shape[1]) for one in batch]
            for picture, found in zip(batch, detect_batch(model, images, sizes, device), strict=True):
                copies.add(picture, _objects(found, detector.class_names, score_threshold))
    content = {
        "class_names": detector.class_names,
        "score_threshold": score_threshold,
        "sources": list(copies.entries.values()),
        "problems": [{"file": str(file), "problem": text} for file, text in problems.items()],
    }
    (output / DETECTIONS).write_text(_one_entry_a_line(content), encoding="utf-8")
    return Prediction(len(files) - len(problems), copies.objects, tuple(problems.values()))


def _read(files: Sequence[Path], problems: dict[Path, str]) -> Iterator[_Picture]:
    """Every image and frame that can be read; what cannot is noted in `problems`."""
    for file in files:
        try:
            if is_video(file):
                reader = VideoReader(file)
                for index, frame in enumerate(reader):
                    yield _Picture(file, frame, index, reader.fps)
            else:
                yield _Picture(file, read_image(file, upright=True))
        except (BadImageError, BadVideoError, OSError) as error:
            problems[file] = str(error)


def _objects(found: dict[str, Tensor], class_names: Sequence[str], score_threshold: float) -> list[DetectedObject]:
    """Detections of a picture that score enough, best first."""
    boxes, labels, scores = (found[key].cpu().tolist() for key in ("boxes", "labels", "scores"))
    return [
        DetectedObject(class_names[label - 1], label, round(score, 4), tuple(round(value, 2) for value in box))
        for box, label, score in zip(boxes, labels, scores, strict=True)
        if score >= score_threshold
    ]


class _Copies:
    """Writes the annotated pictures and frames, which come source after source, and keeps what the json will say."""

    def __init__(self, output: Path, names: dict[Path, PurePath]) -> None:
        self.entries: dict[Path, dict[str, Any]] = {}
        self.objects = 0
        self._output, self._names = output, names
        self._open_video = ExitStack()
        self._writer: VideoWriter | None = None

    def __enter__(self) -> _Copies:
        return self

    def __exit__(self, *error: object) -> None:
        self._open_video.close()

    def add(self, picture: _Picture, objects: list[DetectedObject]) -> None:
        name = self._names[picture.file]
        target = self._output / name
        height, width, _ = picture.pixels.shape
        if picture.file not in self.entries:
            self._open_video.close()
            target.parent.mkdir(parents=True, exist_ok=True)
            entry: dict[str, Any] = {"file": str(picture.file), "output": name.as_posix()}
            self.entries[picture.file] = entry | {"width": width, "height": height}
            if picture.fps is not None:
                self._writer = self._open_video.enter_context(VideoWriter(target, picture.fps, width, height))
                self.entries[picture.file] |= {"fps": picture.fps, "frames": []}
        found = [dataclasses.asdict(item) for item in objects]
        self.objects += len(found)
        drawn = draw_detections(picture.pixels, objects)
        if picture.fps is None:
            self.entries[picture.file]["objects"] = found
            _write_image(target, drawn)
        else:
            assert self._writer is not None
            self._writer.write(drawn)
            time = round(picture.index / picture.fps, 6)
            self.entries[picture.file]["frames"].append({"index": picture.index, "time": time, "objects": found})


def _write_image(target: Path, pixels: NDArray[np.uint8]) -> None:
    good, data = cv2.imencode(target.suffix, cv2.cvtColor(pixels, cv2.COLOR_RGB2BGR))
    if not good:
        raise OSError(f"{target}: OpenCV cannot write it")
    target.write_bytes(data.tobytes())


def _one_entry_a_line(content: dict[str, Any]) -> str:
    """Json with every entry of its lists of objects on a line of its own."""
    parts = []
    for key, value in content.items():
        if isinstance(value, list) and value:
            lines = ",\n".join(f"  {json.dumps(entry, ensure_ascii=False)}" for entry in value)
            parts.append(f" {json.dumps(key)}: [\n{lines}\n ]")
        else:
            parts.append(f" {json.dumps(key)}: {json.dumps(value, ensure_ascii=False)}")
    return "{\n" + ",\n".join(parts) + "\n}\n"
