"""A sheet of a data set's pictures with what is annotated in them."""

from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.patches import Rectangle

from mvdet.data.datasets.classification import ClassificationDataset
from mvdet.data.datasets.detection import DetectionDataset
from mvdet.data.datasets.segmentation import SegmentationDataset
from mvdet.data.inspection.statistics import AnyDataset
from mvdet.data.io.images import BadImageError, read_image
from mvdet.evaluation.predict.drawing import class_colour
from mvdet.evaluation.reports.segmentation import draw_labelled
from mvdet.evaluation.reports.sheet import CONTACT_SHEET, Panel, write_page
from mvdet.evaluation.reports.text import shorten

PICTURES = 24


def write_data_sheet(folder: Path, dataset: AnyDataset, title: str, *, count: int = PICTURES) -> Path:
    """Write `contact_sheet.png`, and `index.html` that lists the pictures' files.

    Args:
        folder: is created where it is missing.
        dataset: whose pictures are shown, evenly spread over it.
        title: of the page.
        count: at most so many.

    Returns:
        The sheet.
    """
    places = np.unique(np.linspace(0, len(dataset) - 1, min(count, len(dataset))).round().astype(int)).tolist()
    describe = next(describe for kind, describe in _DESCRIPTIONS.items() if isinstance(dataset, kind))
    panels: list[Panel] = []
    rows = []
    for number, index in enumerate(places, start=1):
        file = dataset.records[index].file
        text, draw = describe(dataset, index)
        panels.append(
            (f"{number}. {shorten(Path(file).name, 28)}\n{shorten(text, 32)}", partial(_or_reason, draw=draw))
        )
        rows.append((str(number), file, text))
    write_page(
        folder,
        panels,
        nothing="no picture",
        title=f"{title} data: {dataset.bad_data.source}",
        text=f"{len(places)} of {len(dataset)} pictures with what is annotated in them.",
        heads=("", "picture", "annotated"),
        rows=rows,
    )
    return folder / CONTACT_SHEET


def _or_reason(axes: Axes, *, draw: Callable[[Axes], None]) -> None:
    """The picture, or why it cannot be read."""
    try:
        draw(axes)
    except BadImageError as error:
        axes.text(0, 0.5, error.fault, wrap=True)


def _objects(dataset: DetectionDataset, index: int) -> tuple[str, Callable[[Axes], None]]:
    objects = dataset.records[index].objects
    names = [dataset.class_names[label - 1] for label in objects["label"].tolist()]
    counts = {name: names.count(name) for name in dict.fromkeys(names)}
    text = ", ".join(f"{name} {number}" for name, number in counts.items()) or "no object"
    return text, partial(_draw_objects, record=dataset.records[index], names=names)


def _draw_objects(axes: Axes, *, record: Any, names: list[str]) -> None:
    picture = read_image(record.file, (record.width, record.height))
    axes.imshow(picture)
    for box, label, name in zip(record.objects["box"].tolist(), record.objects["label"].tolist(), names, strict=True):
        colour = tuple(channel / 255 for channel in class_colour(label))
        x1, y1, x2, y2 = box
        axes.add_patch(Rectangle((x1 - 0.5, y1 - 0.5), x2 - x1, y2 - y1, fill=False, edgecolor=colour, linewidth=1.6))
        label_box = {"facecolor": colour, "edgecolor": "none", "pad": 0.6, "alpha": 0.8}
        axes.text(x1, y1, shorten(name, 14), fontsize=7, va="bottom", clip_on=True, bbox=label_box, parse_math=False)
    axes.set_xlim(-0.5, picture.shape[1] - 0.5)
    axes.set_ylim(picture.shape[0] - 0.5, -0.5)


def _mask(dataset: SegmentationDataset, index: int) -> tuple[str, Callable[[Axes], None]]:
    record = dataset.records[index]
    read = partial(dataset.read_mask, record)
    draw = partial(draw_labelled, record=record, class_names=dataset.class_names, read=read)
    return Path(record.mask_file).name, draw


def _label(dataset: ClassificationDataset, index: int) -> tuple[str, Callable[[Axes], None]]:
    record = dataset.records[index]
    return dataset.class_names[record.label], partial(_draw_picture, file=record.file)


def _draw_picture(axes: Axes, *, file: str) -> None:
    axes.imshow(read_image(file))


_DESCRIPTIONS: Mapping[type, Callable[[Any, int], tuple[str, Callable[[Axes], None]]]] = {
    DetectionDataset: _objects,
    SegmentationDataset: _mask,
    ClassificationDataset: _label,
}
"""What is annotated in a picture, in words, and what draws it."""
