"""COCO's average precision and recall, by faster-coco-eval or pycocotools.

Both take the same input here and give the same numbers; pycocotools is the reference and the slower one.
"""

import contextlib
import gc
import importlib
import io
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from importlib.metadata import version
from typing import Any, Literal, NamedTuple, get_args

import numpy as np

from mvdet.data.io.coco_json import GroundTruthSource, read_ground_truth
from mvdet.evaluation.results import ResultsSource, check_results

Backend = Literal["faster-coco-eval", "pycocotools"]
IouType = Literal["bbox", "segm"]

BACKENDS: tuple[Backend, ...] = get_args(Backend)
IOU_TYPES: tuple[IouType, ...] = get_args(IouType)
METRICS = ("AP", "AP50", "AP75", "APs", "APm", "APl", "AR1", "AR10", "AR100", "ARs", "ARm", "ARl")
"""The twelve numbers in the order of pycocotools' `stats`."""
MAX_DETECTIONS = (1, 10, 100)
"""Per image and class, as pycocotools' `Params.maxDets`; both backends' default."""


class ClassMetrics(NamedTuple):
    """One class; AP and AP50 in [0, 1], None where the ground truth has no object of it. Crowds are not objects."""

    AP: float | None
    AP50: float | None
    objects: int


@dataclass(frozen=True)
class CocoMetrics:
    """What COCO's evaluation says; see https://cocodataset.org/#detection-eval.

    The numbers are in [0, 1], means over the classes that have objects; None where nothing of that size exists.

    Attributes:
        AP: mean over IoU 0.50, 0.55, ... 0.95, all sizes, at most 100 detections per image and class.
        AP50, AP75: at one IoU.
        APs, APm, APl: of objects below 32 x 32 pixels, up to 96 x 96, and above.
        AR1, AR10, AR100: greatest recall with 1, 10, 100 detections per image and class, mean over IoU.
        ARs, ARm, ARl: by size, with 100 detections.
        per_class: by class name, in the order of category ids.
        images, objects, crowds, detections: how many were there; images without objects or detections count.
        iou_type: "bbox" or "segm".
        backend, backend_version: who computed it.
        curves: precision at recall 0, 0.01, ... 1 at IoU 0.5 (the interpolated precision that AP50 is the mean of), by
            class name, for classes that have objects.
    """

    AP: float | None
    AP50: float | None
    AP75: float | None
    APs: float | None
    APm: float | None
    APl: float | None
    AR1: float | None
    AR10: float | None
    AR100: float | None
    ARs: float | None
    ARm: float | None
    ARl: float | None
    per_class: dict[str, ClassMetrics]
    images: int
    objects: int
    crowds: int
    detections: int
    iou_type: IouType
    backend: Backend
    backend_version: str
    curves: dict[str, tuple[float, ...]] = field(repr=False)

    @property
    def numbers(self) -> dict[str, float | None]:
        """The twelve numbers by name, in COCO's order."""
        return {name: getattr(self, name) for name in METRICS}

    def as_dict(self) -> dict[str, Any]:
        """Everything but the curves, as json can hold it; None stands for a number that does not exist."""
        return {
            "metrics": self.numbers,
            "per_class": {name: numbers._asdict() for name, numbers in self.per_class.items()},
            "counts": {key: getattr(self, key) for key in ("images", "objects", "crowds", "detections")},
            "iou_type": self.iou_type,
            "max_detections": list(MAX_DETECTIONS),
            "backend": self.backend,
            "backend_version": self.backend_version,
        }


def evaluate_coco(
    ground_truth: GroundTruthSource,
    results: ResultsSource,
    *,
    backend: Backend = "faster-coco-eval",
    iou_type: IouType = "bbox",
) -> CocoMetrics:
    """COCO's twelve numbers and each class's AP. Nothing is printed, and the arguments are not changed.

    An image that the results do not mention is an image without detections. Masks are small, medium or large by their
    own area even where the results carry boxes too. Annotation ids play no part (see `GroundTruth.objects`), so ground
    truth with an id 0, which loses that object in pycocotools' own command, is scored correctly.

    Args:
        ground_truth: an instances json, its content, or what `read_ground_truth` made of it.
        results: a results json or its content.
        backend: "faster-coco-eval" or "pycocotools".
        iou_type: "bbox" compares boxes, "segm" masks.

    Raises:
        FileNotFoundError: no such file.
        ValueError: an unknown backend or iou_type, or input that is not as COCO has it; see `read_ground_truth` and
            `check_results`.
        ModuleNotFoundError: the backend is not installed.
    """
    if backend not in BACKENDS:
        raise ValueError(f"backend must be one of {', '.join(BACKENDS)}, got {backend!r}")
    if iou_type not in IOU_TYPES:
        raise ValueError(f"iou_type must be one of {', '.join(IOU_TYPES)}, got {iou_type!r}")
    with _without_garbage_collection():
        truth = read_ground_truth(ground_truth)
        detections = check_results(results, truth, iou_type=iou_type)
        if iou_type == "segm" and truth.mask_fault is not None:
            raise ValueError(truth.mask_fault)
        objects = truth.as_coco(masks=iou_type == "segm")
        _renumber(objects, detections)
        stats, precision = _run(backend, iou_type, objects, objects | {"annotations": detections})
    counts = Counter(item.category_id for item in truth.objects if not item.crowd)
    per_class, curves = {}, {}
    for k, (category_id, name) in enumerate(truth.class_names.items()):
        of_class = precision[:, :, k]  # [T, R]: IoU from 0.5, recall
        if (of_class < 0).all():  # the backends' -1: no object
            per_class[name] = ClassMetrics(None, None, counts[category_id])
        else:
            per_class[name] = ClassMetrics(float(of_class.mean()), float(of_class[0].mean()), counts[category_id])
            curves[name] = tuple(of_class[0].tolist())
    return CocoMetrics(
        **dict(zip(METRICS, (None if value < 0 else float(value) for value in stats), strict=True)),
        per_class=per_class,
        images=len(truth.images),
        objects=sum(counts.values()),
        crowds=sum(item.crowd for item in truth.objects),
        detections=len(detections),
        iou_type=iou_type,
        backend=backend,
        backend_version=version(backend),
        curves=curves,
    )


def _renumber(truth: dict[str, Any], detections: Sequence[dict[str, Any]]) -> None:
    """Number images and categories by their ids' order, in place, where the backends' int64 does not hold one."""
    for lists, key in (("images", "image_id"), ("categories", "category_id")):
        ids = [entry["id"] for entry in truth[lists]]
        if all(-(1 << 63) <= one < 1 << 63 for one in ids):
            continue
        numbers = {one: n for n, one in enumerate(sorted(ids), start=1)}
        for entry in truth[lists]:
            entry["id"] = numbers[entry["id"]]
        for entry in (*truth["annotations"], *detections):
            entry[key] = numbers[entry[key]]


@contextlib.contextmanager
def _without_garbage_collection() -> Iterator[None]:
    """Switch the collector off: millions of small containers are made, and no cycles that it could find."""
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()


def _run(
    backend: Backend, iou_type: IouType, truth: dict[str, Any], detections: dict[str, Any]
) -> tuple[list[float], np.ndarray]:
    """The twelve numbers, -1 where there is none, and precision [T, R, K] over IoU, recall, class at all sizes."""
    if backend == "faster-coco-eval":
        module = importlib.import_module("faster_coco_eval")
        make_index, evaluator = module.COCO, module.COCOeval_faster
    else:
        make_index = importlib.import_module("pycocotools.coco").COCO
        evaluator = importlib.import_module("pycocotools.cocoeval").COCOeval
    with contextlib.redirect_stdout(io.StringIO()):
        sides = [_index(make_index, dataset) for dataset in (truth, detections)]
        evaluation = evaluator(*sides, iouType=iou_type)
        if list(evaluation.params.maxDets) != list(MAX_DETECTIONS):
            raise RuntimeError(f"{backend} {version(backend)} has maxDets {evaluation.params.maxDets}")
        evaluation.evaluate()
        evaluation.accumulate()
        evaluation.summarize()
    # [T, R, K, A, M]: area 0 is all sizes, the last M is 100 detections
    return list(evaluation.stats[: len(METRICS)]), np.asarray(evaluation.eval["precision"])[:, :, :, 0, -1]


def _index(make_index: Callable[[], Any], dataset: dict[str, Any]) -> Any:
    """A backend's `COCO` of a dataset whose annotations are all of its own images and categories."""
    # Not through loadRes: pycocotools' fails on an empty list, and measures masks by their boxes' area. And not through
    # the index of annotations: the evaluators ask for those of all images and categories, so one that looks them up by
    # image, category and id would be made for nothing.
    index = make_index()
    index.dataset = dataset | {"annotations": []}
    index.createIndex()
    index.getAnnIds = lambda imgIds, catIds: None  # noqa: N803
    index.loadAnns = lambda ids: dataset["annotations"]
    return index
