"""Everything the evaluation of a detector leaves behind, in one folder, and the table for the terminal."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from mvdet.data.datasets.detection import DetectionDataset
from mvdet.data.datasets.voc import VocDetection
from mvdet.data.io.coco_json import GroundTruthSource, read_ground_truth
from mvdet.evaluation.metrics.coco import Backend, CocoMetrics, IouType, evaluate_coco
from mvdet.evaluation.metrics.matching import match_detections
from mvdet.evaluation.metrics.voc import VocMetrics, evaluate_voc
from mvdet.evaluation.reports.mistakes import ImageSource, write_mistakes
from mvdet.evaluation.reports.plots import plot_confusion_matrix, plot_precision_recall
from mvdet.evaluation.reports.text import percent, table_lines, write_json
from mvdet.evaluation.results import Result, ResultsSource, read_results, write_results

SCORE_THRESHOLD = 0.25
"""The lowest score in the confusion matrix and the mistakes; ultralytics' choice for its confusion matrix."""


def write_report(
    output: Path,
    ground_truth: GroundTruthSource,
    results: ResultsSource,
    metrics: CocoMetrics,
    *,
    images: ImageSource | None = None,
    score_threshold: float = SCORE_THRESHOLD,
) -> None:
    """Write results, metrics and pictures.

        results.json           the detections, COCO's format
        metrics.json           `CocoMetrics.as_dict()`
        precision_recall.png   at IoU 0.5
        confusion_matrix.png   at IoU 0.5 and the score threshold
        mistakes/              contact_sheet.png and index.html; only with `images`

    Files of these names are overwritten, others stay.

    Args:
        output: the folder, created where it is missing.
        ground_truth: COCO instances.
        results: COCO results.
        metrics: `evaluate_coco` of the two.
        images: where the pictures are; None leaves out the mistakes.
        score_threshold: detections below are left out of the confusion matrix and the mistakes.

    Raises:
        FileNotFoundError: an image is not there.
        ValueError: input that is not as COCO has it, or an image that cannot be read.
    """
    truth = read_ground_truth(ground_truth)
    entries = read_results(results) if isinstance(results, str | Path) else results
    matching = match_detections(truth, entries, score_threshold=score_threshold, iou_type=metrics.iou_type)
    output.mkdir(parents=True, exist_ok=True)
    ids = {key: image.id for key, image in truth.images.items() if key != image.id}  # as tensors hold them: the json's
    write_results(output / "results.json", [_as_annotated(entry, ids) for entry in entries] if ids else entries)
    write_json(output / "metrics.json", metrics.as_dict())
    plot_precision_recall(output / "precision_recall.png", metrics)
    plot_confusion_matrix(
        output / "confusion_matrix.png",
        matching.confusion_matrix(),
        list(truth.class_names.values()),
        score_threshold=score_threshold,
    )
    if images is not None:
        write_mistakes(output / "mistakes", matching, images)


def _as_annotated(entry: Mapping[str, Any], ids: Mapping[int, int]) -> dict[str, Any]:
    return {**entry, "image_id": ids.get(entry["image_id"], entry["image_id"])}


def evaluate_results_file(
    annotations: Path,
    results: Path,
    output: Path,
    *,
    images: Path | None = None,
    backend: Backend = "faster-coco-eval",
    iou_type: IouType = "bbox",
    score_threshold: float = SCORE_THRESHOLD,
) -> CocoMetrics:
    """Score a results json and write the report; see `evaluate_coco` and `write_report` for arguments and errors.

    Raises:
        NotADirectoryError: `images` is not a folder.
        ValueError: the annotations have no object but crowds, so there is nothing to score by.
    """
    if images is not None and not images.is_dir():
        raise NotADirectoryError(f"{images}: no such folder of images")
    truth = read_ground_truth(annotations)
    if all(item.crowd for item in truth.objects):
        raise ValueError(f"{annotations}: no object but {len(truth.objects)} crowds: there is nothing to score by")
    metrics = evaluate_coco(truth, results, backend=backend, iou_type=iou_type)
    write_report(output, truth, results, metrics, images=images, score_threshold=score_threshold)
    return metrics


def report_on_dataset(
    dataset: DetectionDataset,
    results: Sequence[Result],
    output: Path,
    *,
    backend: Backend = "faster-coco-eval",
    score_threshold: float = SCORE_THRESHOLD,
) -> tuple[CocoMetrics, VocMetrics | None]:
    """Score results and write the report, `write_report`'s with the mistakes as pictures.

    Data in VOC's layout is scored by VOC's average precision at IoU 0.5 too, in `voc_metrics.json`.

    Args:
        dataset: that the results are about.
        results: COCO results with its image and category ids.
        output: the folder to write to, created where it is missing.
        backend: of the COCO metrics.
        score_threshold: lowest score in the confusion matrix and the mistakes.

    Returns:
        COCO's metrics, and VOC's or None.

    Raises:
        ValueError: results that do not fit the data set, or an image that cannot be read.
        ModuleNotFoundError: the backend is not installed.
    """
    truth = dataset.ground_truth()
    coco = evaluate_coco(truth, results, backend=backend)
    voc = evaluate_voc(truth, results) if isinstance(dataset, VocDetection) else None
    files = {truth.images[record.image_id].id: Path(record.file) for record in dataset.records}
    write_report(output, truth, results, coco, images=lambda image: files[image.id], score_threshold=score_threshold)
    if voc is not None:
        write_json(output / "voc_metrics.json", voc.as_dict())
    return coco, voc


def format_table(metrics: CocoMetrics) -> str:
    """The twelve numbers and each class, in per cent with one decimal, `-` where there is no number."""
    counts = (f"{getattr(metrics, key)} {key}" for key in ("images", "objects", "crowds", "detections"))
    lines = [f"{', '.join(counts)}; {metrics.iou_type}, {metrics.backend} {metrics.backend_version}", ""]
    numbers = list(metrics.numbers.items())
    for half in (numbers[:6], numbers[6:]):
        lines += ["  ".join(f"{name:>6}" for name, _ in half), "  ".join(f"{percent(v):>6}" for _, v in half), ""]
    rows = [(name, one.objects, percent(one.AP), percent(one.AP50)) for name, one in metrics.per_class.items()]
    return "\n".join([*lines, *table_lines(("class", "objects", "AP", "AP50"), (7, 6, 6), rows)])


def format_tables(coco: CocoMetrics, voc: VocMetrics | None) -> str:
    """The table of COCO's metrics and, where there are any, a line of VOC's, in per cent."""
    text = format_table(coco)
    if voc is None:
        return text
    means = [("11 points", voc.mean_11_points), ("area", voc.mean_area)]
    shown = ", ".join(f"{name} {percent(mean)}" for name, mean in means)
    return f"{text}\n\nVOC AP at IoU {voc.iou_threshold:g}: {shown}"
