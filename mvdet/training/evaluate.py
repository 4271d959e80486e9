"""What `scripts/evaluate.py` does: a model or detections, a data set as training names it, and a report.

This stands in `training`, above `evaluation`: the data set of a model is described as a training run describes it, by
the settings of its task's recipe, and training in turn measures by the metrics of `evaluation`.
"""

import dataclasses
from collections.abc import Callable, Collection, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol, TypeVar

import torch

from mvdet.checkpoints.torch_files import is_ultralytics_file
from mvdet.data.datasets.detection import DetectionDataset
from mvdet.data.io.faults import DEFAULT_POLICY, BadDataPolicy
from mvdet.data.recognition import recognise
from mvdet.evaluation.metrics.coco import BACKENDS, IOU_TYPES, Backend, IouType
from mvdet.evaluation.reports.classification import format_classification, report_on_classification
from mvdet.evaluation.reports.detection import (
    SCORE_THRESHOLD,
    evaluate_results_file,
    format_table,
    format_tables,
    report_on_dataset,
)
from mvdet.evaluation.reports.segmentation import format_segmentation, report_on_segmentation
from mvdet.evaluation.results import Result
from mvdet.evaluation.run.batches import choose_device
from mvdet.evaluation.run.classification import run_classifier
from mvdet.evaluation.run.detection import run_detector
from mvdet.evaluation.run.segmentation import run_segmenter
from mvdet.models.trained import find_model
from mvdet.tasks import CLASSIFICATION, DETECTION, SEGMENTATION, Task
from mvdet.training.checks import require_measurable
from mvdet.training.classification import ClassificationRecipe, classification_dataset
from mvdet.training.detection import NAMED_IN_FILES, SSDLiteRecipe, detection_dataset
from mvdet.training.opening import described
from mvdet.training.recipe import AUTO, TrainingRecipe, read_settings
from mvdet.training.segmentation import SegmentationRecipe, segmentation_dataset

Recipe = TypeVar("Recipe", bound=TrainingRecipe)


class YoloRunner(Protocol):
    """What `mvdet.yolo.evaluation.run_yolo` is; handed in, for nothing outside `mvdet.yolo` imports ultralytics."""

    def __call__(
        self,
        checkpoint: str | Path,
        dataset: DetectionDataset,
        *,
        size: tuple[int, int] | None,
        device: torch.device | str,
    ) -> list[Result]:
        """COCO results of a checkpoint that ultralytics saved."""


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class ResultsEvaluation:
    """Detections in COCO's format, to be scored; see `mvdet.evaluation.reports.detection.evaluate_results_file`.

    Attributes:
        results: COCO results.
        annotations: COCO instances.
        output: the folder to write to.
        images: the folder of the images, for the mistakes; None leaves these out.
        iou_type: "bbox" or "segm".
        backend: of COCO's metrics.
        score_threshold: lowest score of detections in the confusion matrix and the mistakes.
    """

    results: Path
    annotations: Path
    output: Path
    images: Path | None = None
    iou_type: IouType = IOU_TYPES[0]
    backend: Backend = BACKENDS[0]
    score_threshold: float = SCORE_THRESHOLD


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class ModelEvaluation:
    """A model to be evaluated, and the data set, described as in training.

    Attributes:
        model: as `mvdet.models.trained.find_model` takes it, or a checkpoint of ultralytics.
        output: the folder to write to.
        data_format: one of the task's; None finds it out from `data_root`.
        data_root: folder of the data set; None for those that make or fetch themselves.
        split: split or splits; None takes the recipe's, or finds them.
        val_share, seed: what is held out of a folder without a validation split; None takes the recipe's.
        class_names: of detection and segmentation: of a voc or folder data set; None takes the recipe's.
        mask_folder: of segmentation: of a voc data set; None takes the recipe's.
        mask_values: of segmentation: what the masks hold for each class; None takes the recipe's.
        on_bad_data: what happens to unusable images and annotations.
        size: height and width that the model sees; None takes those that it was trained at.
        sliding_window: of segmentation: see `mvdet.evaluation.run.segmentation.run_segmenter`.
        backend: of detection: of COCO's metrics.
        score_threshold: of detection: lowest score of detections in the confusion matrix and the mistakes.
        batch_size: images at a time.
        workers: processes that load images.
        device: "auto", "cpu", "cuda" ...; see `mvdet.evaluation.run.batches.choose_device`.
    """

    model: str
    output: Path
    data_format: str = AUTO
    data_root: Path | None = None
    split: Sequence[str] | None = None
    val_share: float | None = None
    seed: int | None = None
    class_names: Sequence[str] | None = None
    mask_folder: str | None = None
    mask_values: Sequence[int] | None = None
    on_bad_data: BadDataPolicy = DEFAULT_POLICY
    size: Sequence[int] | None = None
    sliding_window: bool = False
    backend: Backend = BACKENDS[0]
    score_threshold: float = SCORE_THRESHOLD
    batch_size: int = 16
    workers: int = 2
    device: str = "auto"

    @property
    def running(self) -> dict[str, Any]:
        """The arguments of `run_detector`, `run_classifier` and `run_segmenter` that say how, not what."""
        return {"batch_size": self.batch_size, "workers": self.workers, "device": choose_device(self.device)}

    def size_or(self, trained: tuple[int, int]) -> tuple[int, int]:
        """Height and width that a model sees which was trained at `trained`."""
        return (self.size[0], self.size[1]) if self.size else trained

    def recipe(self, kind: type[Recipe], task: Task, **changes: Any) -> Recipe:
        """The recipe of a training run whose validation images are those to evaluate.

        Args:
            kind: the recipe's class.
            task: says which file holds the settings that the options leave open.
            changes: settings that win over the file and the options.

        Raises:
            ValueError: a setting out of range, as the recipe says.
            FileNotFoundError, ValueError: as `recognise`, where the format is left open.
        """
        data_format = self.data_format
        if data_format == AUTO and self.data_root is not None:
            data_format = recognise(self.data_root, task.name).data_format
        settings = read_settings(kind, task.recipe_files()[data_format])
        settings |= {"data_format": data_format, "data_root": self.data_root, "on_bad_data": self.on_bad_data}
        given = {
            "val_split": self.split and tuple(self.split),
            "class_names": self.class_names and tuple(self.class_names),
            "mask_folder": self.mask_folder,
            "mask_values": self.mask_values and tuple(self.mask_values),
            "val_share": self.val_share,
            "seed": self.seed,
        }
        settings |= {name: value for name, value in given.items() if value is not None}
        return kind(**settings | changes)


def evaluate(arguments: Mapping[str, Any], run_yolo: YoloRunner) -> str:
    """Evaluate what the arguments say, and write the report.

    Args:
        arguments: by the names of the attributes of `ModelEvaluation` or, with `results`, of `ResultsEvaluation`; None
            is as if it were not there.
        run_yolo: `mvdet.yolo.evaluation.run_yolo`.

    Returns:
        The table for the terminal.

    Raises:
        ValueError: an argument that would be ignored, or one that is missing or out of range; and as the data set, the
            model and the metrics.
        OSError: a file that is not there.
        ModuleNotFoundError: the backend of the metrics is not installed.
    """
    given = {name: value for name, value in arguments.items() if value is not None}
    if given.get("model") is None:
        _check(given, ResultsEvaluation, "--results", needed="annotations")
        return _evaluate_results(ResultsEvaluation(**given))
    _check(given, ModelEvaluation, "--model", needed="data_format" if "data_format" in given else "data_root")
    # ultralytics reads its own files, when the data set is there
    is_yolo = Path(given["model"]).is_file() and is_ultralytics_file(given["model"])
    model: Any = None if is_yolo else find_model(given["model"])
    task = DETECTION if model is None else model.task
    _refuse(given, _NOT_OF_TASK[task.name], f"a {task.noun}, which {given['model']} is")
    options = ModelEvaluation(**given)
    if options.data_format not in (AUTO, *task.data_formats):
        allowed = ", ".join(task.data_formats)
        raise ValueError(f"--data-format for a {task.noun} must be one of {allowed}, got {options.data_format}")
    if model is None:
        return _evaluate_yolo(options, run_yolo)
    return _EVALUATE[task.name](model, options)


def _check(given: Mapping[str, Any], kind: type, way: str, *, needed: str) -> None:
    """Raises ValueError for an argument that would be ignored, and where one is missing."""
    known = {field.name for field in dataclasses.fields(kind)}
    _refuse(given, given.keys() - known, way)
    if needed not in given:
        raise ValueError(f"{way} needs {_flag(needed)}")


def _refuse(given: Mapping[str, Any], names: Collection[str], way: str) -> None:
    """Raises ValueError for an argument that would be ignored."""
    for name in given:
        if name in names:
            raise ValueError(f"{_flag(name)} does not go with {way}")


def _flag(name: str) -> str:
    return f"--{name.replace('_', '-')}"


def _evaluate_results(options: ResultsEvaluation) -> str:
    return format_table(evaluate_results_file(**dataclasses.asdict(options)))


def _evaluate_yolo(options: ModelEvaluation, run_yolo: YoloRunner) -> str:
    recipe = options.recipe(SSDLiteRecipe, DETECTION)
    dataset = detection_dataset(recipe, train=False)
    require_measurable(dataset, described(recipe, DETECTION))
    size = (options.size[0], options.size[1]) if options.size else None
    results = run_yolo(options.model, dataset, size=size, device=choose_device(options.device))
    return _report_detections(options, dataset, results)


def _evaluate_detector(detector: Any, options: ModelEvaluation) -> str:
    recipe = options.recipe(SSDLiteRecipe, DETECTION, size=options.size_or(detector.size))
    dataset = detection_dataset(recipe, train=False)
    if recipe.data_format in NAMED_IN_FILES and set(dataset.class_names) < set(detector.class_names):
        # not every class need occur in the images to evaluate on
        recipe = dataclasses.replace(recipe, class_names=tuple(detector.class_names))
        dataset = detection_dataset(recipe, train=False)
    require_measurable(dataset, described(recipe, DETECTION))
    return _report_detections(options, dataset, run_detector(detector, dataset, **options.running))


def _report_detections(options: ModelEvaluation, dataset: DetectionDataset, results: list[Result]) -> str:
    found = report_on_dataset(
        dataset, results, options.output, backend=options.backend, score_threshold=options.score_threshold
    )
    return format_tables(*found)


def _evaluate_classifier(classifier: Any, options: ModelEvaluation) -> str:
    splits = options.split or ()
    if len(splits) > 1:
        raise ValueError(f"a classifier is evaluated on one split, got {', '.join(splits)}")
    recipe = options.recipe(ClassificationRecipe, CLASSIFICATION, **({"val_split": splits[0]} if splits else {}))
    dataset = classification_dataset(recipe, train=False)
    require_measurable(dataset, described(recipe, CLASSIFICATION))
    found = run_classifier(classifier, dataset, size=options.size_or(classifier.size), **options.running)
    return format_classification(report_on_classification(options.output, found, dataset.class_names))


def _evaluate_segmenter(segmenter: Any, options: ModelEvaluation) -> str:
    recipe = options.recipe(SegmentationRecipe, SEGMENTATION)
    dataset = segmentation_dataset(recipe, train=False)
    require_measurable(dataset, described(recipe, SEGMENTATION))
    looks: dict[str, Any] = {"size": options.size_or(segmenter.size), "sliding_window": options.sliding_window}
    found = run_segmenter(segmenter, dataset, **looks, **options.running)
    return format_segmentation(report_on_segmentation(dataset, found, options.output, settings=looks))


_EVALUATE: dict[str, Callable[[Any, ModelEvaluation], str]] = {
    CLASSIFICATION.name: _evaluate_classifier,
    DETECTION.name: _evaluate_detector,
    SEGMENTATION.name: _evaluate_segmenter,
}
_NOT_OF_TASK: dict[str, set[str]] = {
    CLASSIFICATION.name: {
        *("backend", "score_threshold", "sliding_window", "class_names", "mask_folder", "mask_values")
    },
    DETECTION.name: {"sliding_window", "mask_folder", "mask_values"},
    SEGMENTATION.name: {"backend", "score_threshold"},
}
"""The arguments of `ModelEvaluation` that a task has no use for."""
