"""A page of the worst mistakes: a contact sheet of crops, and an index that names each."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.patches import Rectangle
from matplotlib.patheffects import Stroke, withStroke
from numpy.typing import NDArray

from mvdet.data.io.boxes import Box
from mvdet.data.io.ground_truth import CocoImage, GroundTruth, GroundTruthObject
from mvdet.data.io.images import BadImageError, read_image
from mvdet.evaluation.metrics.matching import JudgedDetection, Matching, MissedObject, Verdict
from mvdet.evaluation.reports.sheet import Panel, write_page
from mvdet.evaluation.reports.text import shorten

ImageSource = Path | Callable[[CocoImage], Path]
"""The folder that the json's file names are relative to, or a function that tells an image's file."""

TRUTH_COLOUR = "#009E73"  # the green and the red of Okabe and Ito: apart for colour-blind readers too
DETECTION_COLOUR = "#D55E00"
MISSED = "missed"
_THIN, _THICK = 0.9, 2.5  # points


@dataclass(frozen=True, slots=True)
class Mistake:
    """One wrong detection or one missed object.

    Attributes:
        kind: a wrong `Verdict`, or `MISSED`.
        image_id: where.
        detection: the wrong one; for a missed object the nearest one, None if none touches it.
        object: the missed one; for a wrong detection the nearest one, None if it touches none.
        iou: of the two, 0 where one is None.
    """

    kind: str
    image_id: int
    detection: JudgedDetection | None
    object: GroundTruthObject | None
    iou: float

    def caption(self, class_names: Mapping[int, str]) -> tuple[str, str]:
        """What happened, and the detail, one line each."""
        true = found = ""
        if self.object is not None:
            true = shorten(class_names[self.object.category_id], 18)
        if self.detection is not None:
            found = f"{shorten(class_names[self.detection.category_id], 18)} {self.detection.score:.2f}"
        subject, other, nothing = (true, found, "detection") if self.kind == MISSED else (found, true, "object")
        return f"{self.kind}: {subject}", f"IoU {self.iou:.2f} with {other}" if other else f"touches no {nothing}"


def worst_mistakes(matching: Matching, count: int = 24) -> list[Mistake]:
    """The detections that are wrong at the highest scores, then the largest missed objects.

    A third of the places is for missed objects; either kind fills what the other leaves. An object next to a badly
    localised detection is missed too, but shown with that detection only.

    Args:
        matching: of `match_detections`.
        count: at most so many.

    Raises:
        ValueError: `count` is below 1.
    """
    if count < 1:
        raise ValueError(f"count must be at least 1, got {count}")
    right = (Verdict.CORRECT, Verdict.IGNORED)
    wrong = sorted((d for d in matching.detections if d.verdict not in right), key=lambda d: -d.score)
    near_miss = {id(d.object) for d in wrong if d.verdict is Verdict.BADLY_LOCALISED}
    missed = [m for m in matching.missed if id(m.object) not in near_miss]
    missed.sort(key=lambda m: -m.object.area)
    places = min(len(missed), max(count // 3, count - len(wrong)))
    return [_wrong(d) for d in wrong[: count - places]] + [_missed(m) for m in missed[:places]]


def _wrong(detection: JudgedDetection) -> Mistake:
    return Mistake(str(detection.verdict), detection.image_id, detection, detection.object, detection.iou)


def _missed(missed: MissedObject) -> Mistake:
    return Mistake(MISSED, missed.object.image_id, missed.nearest, missed.object, missed.iou)


def write_mistakes(folder: Path, matching: Matching, images: ImageSource, *, count: int = 24) -> list[Mistake]:
    """Write `contact_sheet.png` and `index.html`, which lists the pictures by their numbers on the sheet.

    On the sheet, the ground truth is green and solid (thin: the picture's other objects), the detection red and dashed
    (thin: the one nearest to a missed object).

    Args:
        folder: is created.
        matching: of `match_detections`.
        images: where the pictures are.
        count: at most so many.

    Returns:
        The mistakes in the order of the sheet.

    Raises:
        FileNotFoundError: an image is not there.
        ValueError: an image cannot be read, has another size than the ground truth says, or has no file name.
    """
    mistakes = worst_mistakes(matching, count)
    objects_of = matching.ground_truth.objects_by_image()
    panels: list[Panel] = []
    for n, mistake in enumerate(mistakes, start=1):
        picture = _read_image(images, matching.ground_truth, mistake.image_id)
        draw = partial(_draw, picture=picture, mistake=mistake, objects=objects_of[mistake.image_id])
        first, second = mistake.caption(matching.ground_truth.class_names)
        panels.append((f"{n}. {first}\n{second}", draw))
    write_page(
        folder,
        panels,
        nothing="no mistakes",
        title="The worst mistakes",
        text=f"Detections of score {matching.score_threshold:g} and above at IoU 0.5: the wrong ones by score, then "
        "the missed objects by size. Green, solid: ground truth (thin: the picture's other objects). Red, dashed: "
        "detection (thin: the one nearest to a missed object). Boxes are left, top, width, height in pixels.",
        heads=("", "mistake", "picture", "detected", "score", "object", "IoU", "detected box", "object's box"),
        rows=_rows(mistakes, matching),
    )
    return mistakes


def _draw(axes: Axes, picture: NDArray[np.uint8], mistake: Mistake, objects: list[GroundTruthObject]) -> None:
    """The part of the picture around the boxes that matter, square, with all boxes."""
    item, detection = mistake.object, mistake.detection
    missed = mistake.kind == MISSED
    shown = (item,) if missed else (item, detection)
    boxes = [thing.box_xywh for thing in shown if thing is not None]
    left, top, right, bottom = _view(boxes, picture.shape[1], picture.shape[0])
    part = picture[top:bottom, left:right]
    axes.imshow(part, extent=(left, right, bottom, top), interpolation="bilinear")
    for other in objects:
        if other is not item:
            _draw_box(axes, other.box_xywh, TRUTH_COLOUR, width=_THIN)
    if item is not None:
        _draw_box(axes, item.box_xywh, TRUTH_COLOUR, width=_THICK)
    if detection is not None:
        width = _THIN if missed else _THICK
        _draw_box(axes, detection.box_xywh, DETECTION_COLOUR, width=width, style=(0, (4, 2)))
    axes.set(xlim=(left, right), ylim=(bottom, top))


def _draw_box(
    axes: Axes, box_xywh: Box, colour: str, *, width: float, style: str | tuple[int, tuple[int, int]] = "-"
) -> None:
    x, y, w, h = box_xywh
    halo: list[Stroke] = [withStroke(linewidth=width + 1.5, foreground="white", alpha=0.7)] if width > _THIN else []
    axes.add_patch(
        Rectangle((x, y), w, h, fill=False, edgecolor=colour, linewidth=width, linestyle=style, path_effects=halo)
    )


def _view(boxes: list[Box], width: int, height: int) -> tuple[int, int, int, int]:
    """A square around the boxes with some surroundings, at least 64 pixels, moved into the picture where it can be."""
    left, top = (min(box[i] for box in boxes) for i in (0, 1))
    right, bottom = (max(box[i] + box[i + 2] for box in boxes) for i in (0, 1))
    side = max(64.0, 1.4 * max(right - left, bottom - top))
    edges = []
    for low, high, limit in ((left, right, width), (top, bottom, height)):
        length = min(side, limit)
        start = min(max((low + high - length) / 2, 0), limit - length)
        edges.append((int(start), min(int(np.ceil(start + length)), limit)))
    return edges[0][0], edges[1][0], edges[0][1], edges[1][1]


def _read_image(images: ImageSource, ground_truth: GroundTruth, image_id: int) -> NDArray[np.uint8]:
    """[H, W, 3] RGB, as the ground truth counts its pixels."""
    record = ground_truth.images[image_id]
    if isinstance(images, Path):
        if not record.file_name:
            raise ValueError(f"{ground_truth.source}: image {image_id} has no file_name")
        file = images / record.file_name
    else:
        file = images(record)
    if not file.is_file():
        raise FileNotFoundError(f"{file}: no such file")
    try:
        annotated = None if record.width is None or record.height is None else (record.width, record.height)
        picture = read_image(file, annotated)
    except BadImageError as error:
        raise ValueError(str(error)) from error
    height, width = picture.shape[:2]
    if (record.width or width, record.height or height) != (width, height):
        wanted = f"{record.width} x {record.height}"
        raise ValueError(f"{file}: is {width} x {height} pixels, {ground_truth.source} says {wanted}")
    return picture


def _rows(mistakes: list[Mistake], matching: Matching) -> list[tuple[str, ...]]:
    names, records = matching.ground_truth.class_names, matching.ground_truth.images
    rows: list[tuple[str, ...]] = []
    for n, mistake in enumerate(mistakes, start=1):
        detection, item = mistake.detection, mistake.object
        cells = (
            str(n),
            mistake.kind,
            records[mistake.image_id].file_name or f"image {mistake.image_id}",
            "" if detection is None else names[detection.category_id],
            "" if detection is None else f"{detection.score:.3f}",
            "" if item is None else names[item.category_id],
            f"{mistake.iou:.2f}",
            _box_text(None if detection is None else detection.box_xywh),
            _box_text(None if item is None else item.box_xywh),
        )
        rows.append(cells)
    return rows


def _box_text(box_xywh: Box | None) -> str:
    return "" if box_xywh is None else ", ".join(f"{value:.1f}" for value in box_xywh)
