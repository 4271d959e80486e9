"""Everything the evaluation of a segmentation network leaves behind, in one folder, and the table for the terminal."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from matplotlib.axes import Axes
from numpy.typing import NDArray

from mvdet.data.datasets.segmentation import MaskRecord, SegmentationDataset
from mvdet.data.io.images import image_size, read_image
from mvdet.data.io.masks import IGNORE_INDEX, read_mask, write_mask
from mvdet.evaluation.metrics.segmentation import SegmentationMetrics, confusion_matrix, segmentation_metrics
from mvdet.evaluation.predict.drawing import draw_lines, draw_mask, legend_lines
from mvdet.evaluation.predict.sources import mask_names, output_names
from mvdet.evaluation.reports.plots import plot_bars, plot_class_confusion
from mvdet.evaluation.reports.sheet import Panel, write_page
from mvdet.evaluation.reports.text import percent, shorten, table_lines, write_json
from mvdet.evaluation.run.segmentation import SegmentedImage

PREDICTIONS = "predictions"
_THUMBNAIL = 320  # pixels of the longer side: a legend's letters are not to shrink with the picture


@dataclass(frozen=True, slots=True)
class _Judged:
    """An image, where its prediction lies, and how good that is."""

    record: MaskRecord
    prediction: Path
    metrics: SegmentationMetrics


def report_on_segmentation(
    dataset: SegmentationDataset,
    found: Iterable[SegmentedImage],
    output: Path,
    *,
    settings: dict[str, Any],
    most_images: int = 12,
) -> SegmentationMetrics:
    """Measure at the stored images' resolution, and write predictions, metrics and pictures.

        predictions/           a palette PNG of class numbers for each image, in VOC's colours
        metrics.json           `SegmentationMetrics.as_dict()` and the settings
        per_class_iou.png      a bar for each class
        confusion_matrix.png   of pixels
        worst/                 contact_sheet.png and index.html: the images with the lowest mean IoU of their own, each
                               with its true and its predicted classes

    Files of these names are overwritten, others stay.

    Args:
        dataset: that the predictions are about.
        found: one for each image, of `run_segmenter`; written and counted as they come.
        output: the folder, created where it is missing.
        settings: how the images were looked at, for `metrics.json`.
        most_images: at most so many of the worst are shown.

    Raises:
        ValueError: an image or a mask that cannot be read.
    """
    names = dataset.class_names
    files = output_names([Path(record.file) for record in dataset.records])
    places = mask_names(files, PREDICTIONS)
    total = torch.zeros(len(names), len(names), dtype=torch.int64)
    judged: list[_Judged] = []
    for one in found:
        counts = confusion_matrix(one.labels, one.mask, len(names))
        total += counts
        prediction = output / places[Path(one.record.file)]
        prediction.parent.mkdir(parents=True, exist_ok=True)
        write_mask(prediction, one.labels.numpy().astype(np.uint8))
        judged.append(_Judged(one.record, prediction, segmentation_metrics(counts, names)))
    metrics = segmentation_metrics(total, names)
    output.mkdir(parents=True, exist_ok=True)
    content = metrics.as_dict()
    content["counts"]["images"] = len(judged)
    write_json(output / "metrics.json", content | settings)
    plot_bars(
        output / "per_class_iou.png",
        {name: one.iou for name, one in metrics.per_class.items()},
        mean=metrics.mean_iou,
        label="IoU",
        title=f"IoU of each class, {len(judged)} images",
    )
    plot_class_confusion(output / "confusion_matrix.png", total.numpy(), names, unit="pixel")
    _write_worst(output / "worst", judged, dataset, most_images)
    return metrics


def format_segmentation(metrics: SegmentationMetrics) -> str:
    """The means and each class, in per cent with one decimal, `-` where there is no number."""
    means = f"mIoU {percent(metrics.mean_iou)}  pixel accuracy {percent(metrics.pixel_accuracy)}"
    rows = [(name, one.pixels, percent(one.iou)) for name, one in metrics.per_class.items()]
    return "\n".join([means, "", *table_lines(("class", "pixels", "IoU"), (10, 6), rows)])


def _write_worst(folder: Path, judged: Sequence[_Judged], dataset: SegmentationDataset, most: int) -> None:
    names = dataset.class_names
    counted = [one for one in judged if one.metrics.mean_iou is not None]
    worst = sorted(counted, key=lambda one: one.metrics.mean_iou or 0)[:most]
    panels: list[Panel] = []
    rows = []
    for n, one in enumerate(worst, start=1):
        iou = percent(one.metrics.mean_iou)
        name = Path(one.record.file).name
        draw = partial(draw_labelled, record=one.record, class_names=names)
        predicted = partial(read_mask, one.prediction, len(names))
        panels.append((f"{n}. {shorten(name, 30)}\nmean IoU {iou}", draw))
        panels.append(("\ntruth", partial(draw, read=partial(dataset.read_mask, one.record))))
        panels.append(("\nprediction", partial(draw, read=predicted)))
        classes = ", ".join(f"{key} {percent(c.iou)}" for key, c in one.metrics.per_class.items() if c.iou is not None)
        rows.append((str(n), one.record.file, iou, percent(one.metrics.pixel_accuracy), classes))
    write_page(
        folder,
        panels,
        nothing="no image has a pixel that counts",
        title="The worst images",
        text="The images with the lowest mean IoU over the classes that are in their mask or were found in them. Each "
        "is shown as it is, under its true classes (white: pixels that do not count) and under those that were found.",
        heads=("", "picture", "mean IoU", "pixel accuracy", "IoU of each class"),
        rows=rows,
    )


def draw_labelled(
    axes: Axes, *, record: MaskRecord, class_names: Sequence[str], read: Callable[[], NDArray[np.uint8]] | None = None
) -> None:
    """Draw a picture, under the colours of its classes where `read` gives their numbers [H, W], with a legend.

    Raises:
        mvdet.data.io.images.BadImageError: picture or mask cannot be read.
    """
    picture = read_image(record.file, image_size(record.mask_file))
    height, width, _ = picture.shape
    scale = min(1.0, _THUMBNAIL / max(height, width))
    size = max(1, round(width * scale)), max(1, round(height * scale))  # OpenCV's order
    picture = np.asarray(cv2.resize(picture, size, interpolation=cv2.INTER_AREA), np.uint8)
    if read is not None:
        stored = read()
        labels = np.asarray(cv2.resize(stored, size, interpolation=cv2.INTER_NEAREST), np.uint8)
        lines = legend_lines(stored[stored != IGNORE_INDEX], class_names)
        picture = draw_lines(draw_mask(picture, labels, class_names), lines)
    axes.imshow(picture, interpolation="bilinear")
