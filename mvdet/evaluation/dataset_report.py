"""Detections on a data set: scored by COCO's metrics and, where it is VOC's, by VOC's, with the whole report."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

from mvdet.data.detection import DetectionDataset
from mvdet.data.voc_detection import VocDetection
from mvdet.evaluation.coco import Backend, CocoMetrics, evaluate_coco
from mvdet.evaluation.ground_truth import read_ground_truth
from mvdet.evaluation.messages import percent
from mvdet.evaluation.report import SCORE_THRESHOLD, format_table, write_report
from mvdet.evaluation.results import Result
from mvdet.evaluation.voc import VocMetrics, evaluate_voc


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
    truth = read_ground_truth(dataset.coco_ground_truth())
    coco = evaluate_coco(truth, results, backend=backend)
    voc = evaluate_voc(truth, results) if isinstance(dataset, VocDetection) else None
    files = {record.image_id: Path(record.file) for record in dataset.records}
    write_report(output, truth, results, coco, images=lambda image: files[image.id], score_threshold=score_threshold)
    if voc is not None:
        (output / "voc_metrics.json").write_text(json.dumps(voc.as_dict(), indent=2) + "\n", encoding="utf-8")
    return coco, voc


def format_tables(coco: CocoMetrics, voc: VocMetrics | None) -> str:
    """What `report_on_dataset` returned, for the terminal, in per cent."""
    text = format_table(coco)
    if voc is None:
        return text
    means = [("11 points", voc.mean_11_points), ("area", voc.mean_area)]
    shown = ", ".join(f"{name} {percent(mean)}" for name, mean in means)
    return f"{text}\n\nVOC AP at IoU {voc.iou_threshold:g}: {shown}"
