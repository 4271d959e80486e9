"""A model at work on pictures and videos: annotated copies, and everything it found as json."""

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from itertools import islice
from pathlib import Path, PurePath
from typing import Any, Self

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from tqdm import tqdm  # type: ignore[import-untyped]

from mvdet.data.io.images import BadImageError, read_image
from mvdet.data.io.masks import write_mask
from mvdet.evaluation.predict.predictors import Found, make_predictor
from mvdet.evaluation.predict.sources import (
    BadVideoError,
    VideoReader,
    VideoWriter,
    check_not_overwritten,
    find_files,
    is_video,
    mask_names,
    output_names,
)
from mvdet.models.trained import TrainedModel

MASKS = "masks"
"""The folder in the output that masks are written to."""


@dataclass(frozen=True, slots=True)
class Prediction:
    """What `predict` has done.

    Attributes:
        files: sources that were gone through to their end.
        objects: detections in all of them; 0 where the model is no detector.
        problems: one line for each file that could not be read, or not to its end.
        json: the file that says what was found.
    """

    files: int
    objects: int
    problems: tuple[str, ...]
    json: Path


@dataclass(frozen=True, slots=True)
class _Picture:
    """An image, or a frame of a video, upright: [H, W, 3] uint8 RGB."""

    file: Path
    pixels: NDArray[np.uint8]
    index: int = 0
    fps: float | None = None  # None for images


def predict(
    trained: TrainedModel,
    sources: Sequence[str | Path],
    output: Path,
    *,
    score_threshold: float | None = None,
    sliding_window: bool = False,
    size: tuple[int, int] | None = None,
    device: torch.device | str = "cpu",
    batch_size: int = 8,
) -> Prediction:
    """Detect objects in pictures and videos, classify or segment them, with a progress bar.

        OUTPUT/NAME                   each picture with its boxes, its five best classes or its classes' colours; each
                                      video as mp4 without sound (see `output_names`)
        OUTPUT/detections.json        what was found, one source a line; classifications.json, segmentations.json
        OUTPUT/masks/NAME.png         of segmentation: class numbers as a palette PNG in VOC's colours; of a video,
                                      masks/NAME/000000.png, ... by frame

    Pictures are turned upright by their EXIF orientation, as viewers do: the model sees them so, the copies are
    written so, and `width`, `height` and `box` (xyxy, pixels) in the json count so. (So do data sets, see
    `mvdet.data.io.orientation`.)
    A frame's `time` is its index divided by the frame rate, in seconds. Files of these names are overwritten, others
    stay. A file that cannot be read is noted, in the json too, and the rest goes on.

    Args:
        trained: of `mvdet.models.trained.find_model`; its model is moved to the device.
        sources: files, folders and patterns, see `find_files`.
        output: a folder, created where it is missing.
        score_threshold: of a detector: the lowest score of what is shown, 0 to 1; None takes 0.3.
        sliding_window: of a segmentation network: see `mvdet.evaluation.run.segmentation.run_segmenter`.
        size: height and width that the model sees; None takes those that it was trained at.
        device: where the model runs.
        batch_size: pictures at a time, 1 or more.

    Raises:
        FileNotFoundError: a source is not there, or has no pictures.
        ValueError: a number out of range, an argument of another task, or an output that would overwrite a source.
        OSError: the output cannot be written.
    """
    if batch_size < 1:
        raise ValueError(f"batch_size must be at least 1, got {batch_size}")
    predictor = make_predictor(
        trained, score_threshold=score_threshold, sliding_window=sliding_window, size=size, device=device
    )
    files = find_files(sources, output=output)
    names = output_names(files)
    masks = mask_names(names, MASKS) if predictor.writes_masks else {}
    check_not_overwritten(files, [output / name for name in (*names.values(), *masks.values())])
    output.mkdir(parents=True, exist_ok=True)
    problems: dict[Path, str] = {}
    pictures = iter(tqdm(_read(files, problems), desc="predict", unit="picture"))
    with _Copies(output, names, masks) as copies:
        while batch := list(islice(pictures, batch_size)):
            for picture, found in zip(batch, predictor.find([one.pixels for one in batch]), strict=True):
                copies.add(picture, found)
    content = {
        "class_names": predictor.class_names,
        **predictor.settings,
        "sources": list(copies.entries.values()),
        "problems": [{"file": str(file), "problem": text} for file, text in problems.items()],
    }
    target = output / predictor.json_name
    target.write_text(_one_entry_a_line(content), encoding="utf-8")
    return Prediction(len(files) - len(problems), copies.objects, tuple(problems.values()), target)


def _read(files: Sequence[Path], problems: dict[Path, str]) -> Iterator[_Picture]:
    """Every image and frame that can be read; what cannot is noted in `problems`."""
    for file in files:
        try:
            if is_video(file):
                reader = VideoReader(file)
                for index, frame in enumerate(reader):
                    yield _Picture(file, frame, index, reader.fps)
            else:
                yield _Picture(file, read_image(file))
        except (BadImageError, BadVideoError, OSError) as error:
            problems[file] = str(error)


class _Copies:
    """Writes the annotated pictures and frames, which come source after source, and keeps what the json will say."""

    def __init__(self, output: Path, names: Mapping[Path, PurePath], masks: Mapping[Path, PurePath]) -> None:
        self.entries: dict[Path, dict[str, Any]] = {}
        self.objects = 0
        self._output, self._names, self._masks = output, names, masks
        self._open_video = ExitStack()
        self._writer: VideoWriter | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self._open_video.close()

    def add(self, picture: _Picture, found: Found) -> None:
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
        self.objects += found.objects
        entry = found.entry | self._write_mask(picture, found)
        if picture.fps is None:
            self.entries[picture.file] |= entry
            _write_image(target, found.drawn)
        else:
            assert self._writer is not None
            self._writer.write(found.drawn)
            time = round(picture.index / picture.fps, 6)
            self.entries[picture.file]["frames"].append({"index": picture.index, "time": time, **entry})

    def _write_mask(self, picture: _Picture, found: Found) -> dict[str, str]:
        """Writes the mask, if there is one, and returns what the json says of it."""
        if found.mask is None:
            return {}
        name = self._masks[picture.file]
        if picture.fps is not None:
            name = name / f"{picture.index:06d}.png"
        (self._output / name).parent.mkdir(parents=True, exist_ok=True)
        write_mask(self._output / name, found.mask)
        return {"mask": name.as_posix()}


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
