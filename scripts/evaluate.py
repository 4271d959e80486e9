"""Score a detector, classifier or segmentation network on a data set, or detections alone; plots, and what went wrong.

    python scripts/evaluate.py --model best.ckpt --data-format voc --data-root VOCdevkit --output DIR
    python scripts/evaluate.py --model best.pt --data-format coco --data-root coco --output DIR
    python scripts/evaluate.py --model mobilevit_s --data-format folder --data-root imagenet --output DIR
    python scripts/evaluate.py --model deeplabv3_mobilevit_s --data-format voc --data-root VOC2012 --output DIR
    python scripts/evaluate.py --results R.json --annotations A.json --images FOLDER --output DIR

writes metrics.json, confusion_matrix.png and, of a
    detector      results.json (COCO's format), precision_recall.png, mistakes/; measured by COCO's metrics and VOC's
    classifier    results.json, mistakes/; top-1 and top-5 with the resize and crop that the weights are published with
    segmentation  predictions/, per_class_iou.png, worst/; mean IoU at the stored images' resolution
The task follows from the model: a checkpoint of scripts/train_*.py, a published name, a weights file or folder, or a
checkpoint of ultralytics.
"""

import argparse
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeVar, get_args

from mvdet.checkpoints.torch_files import is_ultralytics_file
from mvdet.data.io.faults import DEFAULT_POLICY, BadDataPolicy
from mvdet.evaluation.metrics.coco import BACKENDS, IOU_TYPES
from mvdet.evaluation.reports.classification import format_classification, report_on_classification
from mvdet.evaluation.reports.detection import (
    SCORE_THRESHOLD,
    evaluate_results_file,
    format_table,
    format_tables,
    report_on_dataset,
)
from mvdet.evaluation.reports.segmentation import format_segmentation, report_on_segmentation
from mvdet.evaluation.run.classification import run_classifier
from mvdet.evaluation.run.detection import choose_device, run_detector
from mvdet.evaluation.run.segmentation import run_segmenter
from mvdet.models.trained import (
    TASK_NOUNS,
    TrainedClassifier,
    TrainedDetector,
    TrainedSegmenter,
    find_model,
    task_of,
)
from mvdet.training import classification, detection, segmentation
from mvdet.training.classification import ClassificationRecipe, classification_dataset
from mvdet.training.detection import SSDLiteRecipe, detection_dataset
from mvdet.training.recipe import TrainingRecipe, read_settings
from mvdet.training.segmentation import SegmentationRecipe, segmentation_dataset

Recipe = TypeVar("Recipe", bound=TrainingRecipe)

_RECIPES = {
    "classification": classification.recipes(),
    "detection": detection.recipes(),
    "segmentation": segmentation.recipes(),
}
_FORMATS = sorted({name for files in _RECIPES.values() for name in files})

# The flags that not every call takes, with their defaults, and where they say something.
_DEFAULTS: dict[str, Any] = {
    **{"annotations": None, "images": None, "iou_type": IOU_TYPES[0]},
    **{"backend": BACKENDS[0], "score_threshold": SCORE_THRESHOLD, "sliding_window": False},
    **{"data_format": None, "data_root": None, "split": None, "class_names": None, "on_bad_data": DEFAULT_POLICY},
    "mask_folder": None,
    **{"size": None, "batch_size": 16, "workers": 2, "device": "auto"},
}
_RESULTS_FLAGS = {"annotations", "images", "iou_type", "backend", "score_threshold"}
_MODEL_FLAGS = set(_DEFAULTS) - {"annotations", "images", "iou_type"}
_NOT_OF_TASK = {
    "classification": {"backend", "score_threshold", "sliding_window", "class_names", "on_bad_data", "mask_folder"},
    "detection": {"sliding_window", "mask_folder"},
    "segmentation": {"backend", "score_threshold"},
}


def main() -> None:
    """Parse the command line, evaluate, print the table; a problem is one line, and exit code 1."""
    arguments = _parser().parse_args()
    try:
        if arguments.model is None:
            _refuse(arguments, set(_DEFAULTS) - _RESULTS_FLAGS, "--results")
            _evaluate_results(_settled(arguments, "--results", "annotations"))
        else:
            _refuse(arguments, set(_DEFAULTS) - _MODEL_FLAGS, "--model")
            _evaluate_model(arguments)
    except (ValueError, OSError, ModuleNotFoundError) as error:
        sys.exit(f"error: {error}")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    what = parser.add_mutually_exclusive_group(required=True)
    what.add_argument("--model", metavar="CKPT|NAME", help="checkpoint, weights or published name")
    what.add_argument("--results", type=Path, metavar="R.json", help="COCO results")
    parser.add_argument("--output", type=Path, required=True, metavar="DIR", help="folder to write to")
    parser.add_argument("--backend", choices=BACKENDS, help=f"of COCO's metrics, default: {BACKENDS[0]}")
    parser.add_argument(
        "--score-threshold",
        type=float,
        metavar="S",
        help=f"lowest score of detections in the confusion matrix and the mistakes (default: {SCORE_THRESHOLD})",
    )

    model = parser.add_argument_group("with --model", "the data set as in training, with the same names")
    formats = "; ".join(f"{TASK_NOUNS[task]}: {', '.join(files)}" for task, files in _RECIPES.items())
    model.add_argument("--data-format", choices=_FORMATS, help=formats)
    model.add_argument("--data-root", type=Path, metavar="DIR", help="folder of the data set")
    model.add_argument("--split", nargs="+", help="split or splits; for voc also YEAR:SPLIT; default: the recipe's")
    model.add_argument(
        "--class-names", nargs="+", metavar="NAME", help="of a voc or masks data set; default: the recipe's"
    )
    model.add_argument("--mask-folder", metavar="NAME", help="of a voc data set, as SegmentationClassAug")
    model.add_argument("--on-bad-data", choices=get_args(BadDataPolicy), help=f"default: {DEFAULT_POLICY}")
    model.add_argument("--size", type=int, nargs=2, metavar=("H", "W"), help="default: as the model was trained")
    model.add_argument(
        "--sliding-window",
        action="store_true",
        default=None,
        help="of segmentation: windows of SIZE at full resolution",
    )
    model.add_argument("--batch-size", type=int, metavar="N", help="default: 16; YOLO takes one at a time")
    model.add_argument("--workers", type=int, metavar="N", help="processes that load images (default: 2)")
    model.add_argument("--device", help="auto, cpu, cuda, cuda:1 ... (default: auto)")

    results = parser.add_argument_group("with --results")
    results.add_argument("--annotations", type=Path, metavar="A.json", help="COCO instances")
    results.add_argument("--images", type=Path, metavar="FOLDER", help="folder of the images, for the mistakes")
    results.add_argument("--iou-type", choices=IOU_TYPES, help=f"default: {IOU_TYPES[0]}")
    return parser


def _refuse(arguments: argparse.Namespace, flags: set[str], way: str) -> None:
    """Raises ValueError for a flag that would be ignored."""
    for name in _DEFAULTS:
        if name in flags and getattr(arguments, name) is not None:
            raise ValueError(f"--{name.replace('_', '-')} does not go with {way}")


def _settled(arguments: argparse.Namespace, way: str, needed: str) -> argparse.Namespace:
    """With the defaults filled in; raises ValueError where the flag that must be there is not."""
    if getattr(arguments, needed) is None:
        raise ValueError(f"{way} needs --{needed.replace('_', '-')}")
    given = {name: value for name, value in vars(arguments).items() if value is not None}
    return argparse.Namespace(**vars(arguments) | _DEFAULTS | given)


def _evaluate_results(arguments: argparse.Namespace) -> None:
    metrics = evaluate_results_file(
        arguments.annotations,
        arguments.results,
        arguments.output,
        images=arguments.images,
        backend=arguments.backend,
        iou_type=arguments.iou_type,
        score_threshold=arguments.score_threshold,
    )
    print(format_table(metrics))


def _evaluate_model(given: argparse.Namespace) -> None:
    arguments = _settled(given, "--model", "data_format")
    # ultralytics reads its own files, when the data set is there
    is_yolo = Path(arguments.model).is_file() and is_ultralytics_file(arguments.model)
    model = None if is_yolo else find_model(arguments.model)
    task = "detection" if model is None else task_of(model)
    _refuse(given, _NOT_OF_TASK[task], f"a {TASK_NOUNS[task]}, which {arguments.model} is")
    if arguments.data_format not in _RECIPES[task]:
        allowed = ", ".join(_RECIPES[task])
        raise ValueError(
            f"--data-format for a {TASK_NOUNS[task]} must be one of {allowed}, got {arguments.data_format}"
        )
    size = arguments.size and (arguments.size[0], arguments.size[1])
    if isinstance(model, TrainedClassifier):
        _evaluate_classifier(model, arguments, size)
    elif isinstance(model, TrainedSegmenter):
        _evaluate_segmenter(model, arguments, size)
    else:
        _evaluate_detector(model, arguments, size)


def _evaluate_detector(
    detector: TrainedDetector | None, arguments: argparse.Namespace, size: tuple[int, int] | None
) -> None:
    """A detector of ours or of torchvision's, or None for ultralytics' checkpoint `--model`."""
    recipe = _recipe(SSDLiteRecipe, _RECIPES["detection"], arguments)
    if detector is None:
        from mvdet.yolo.evaluation import run_yolo  # ultralytics takes seconds to import, and only this needs it

        dataset = detection_dataset(recipe, train=False, size=size)
        device = choose_device(arguments.device)
        results = run_yolo(arguments.model, dataset, size=size, device=device)
    else:
        dataset = detection_dataset(recipe, train=False, size=size or detector.size)
        results = run_detector(detector, dataset, **_running(arguments))
    found = report_on_dataset(
        dataset, results, arguments.output, backend=arguments.backend, score_threshold=arguments.score_threshold
    )
    print(format_tables(*found))


def _evaluate_classifier(
    classifier: TrainedClassifier, arguments: argparse.Namespace, size: tuple[int, int] | None
) -> None:
    recipe = _recipe(ClassificationRecipe, _RECIPES["classification"], arguments)
    dataset = classification_dataset(recipe, train=False)
    found = run_classifier(classifier, dataset, size=size, **_running(arguments))
    print(format_classification(report_on_classification(arguments.output, found, dataset.class_names)))


def _evaluate_segmenter(
    segmenter: TrainedSegmenter, arguments: argparse.Namespace, size: tuple[int, int] | None
) -> None:
    recipe = _recipe(SegmentationRecipe, _RECIPES["segmentation"], arguments)
    dataset = segmentation_dataset(recipe, train=False)
    options = {"size": size or segmenter.size, "sliding_window": arguments.sliding_window}
    found = run_segmenter(segmenter, dataset, **options, **_running(arguments))
    print(format_segmentation(report_on_segmentation(dataset, found, arguments.output, settings=options)))


def _running(arguments: argparse.Namespace) -> dict[str, Any]:
    device = choose_device(arguments.device)
    return {"batch_size": arguments.batch_size, "workers": arguments.workers, "device": device}


def _recipe(kind: type[Recipe], files: Mapping[str, Path], arguments: argparse.Namespace) -> Recipe:
    """That of a training run whose validation images are those that training would take, or those of `--split`."""
    settings = read_settings(kind, files[arguments.data_format])
    settings |= {"data_format": arguments.data_format, "data_root": arguments.data_root}
    if kind is not ClassificationRecipe:
        settings["on_bad_data"] = arguments.on_bad_data
    if arguments.class_names:
        settings["class_names"] = tuple(arguments.class_names)
    if arguments.mask_folder:
        settings["mask_folder"] = arguments.mask_folder
    if arguments.split:
        settings["val_split"] = tuple(arguments.split)
        if kind is ClassificationRecipe:
            if len(arguments.split) != 1:
                raise ValueError(f"a classifier is evaluated on one split, got {', '.join(arguments.split)}")
            settings["val_split"] = arguments.split[0]
    return kind(**settings)


if __name__ == "__main__":
    main()
