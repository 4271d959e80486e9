"""Score a detector on a data set, or detections alone, by COCO's metrics; plots, and the worst mistakes.

    python scripts/evaluate.py --model best.ckpt --data-format voc --data-root VOCdevkit --output DIR
    python scripts/evaluate.py --model best.pt --data-format coco --data-root coco --output DIR
    python scripts/evaluate.py --results R.json --annotations A.json --images FOLDER --output DIR

writes results.json, metrics.json, precision_recall.png, confusion_matrix.png and, where images are given, mistakes/.
Models are checkpoints of scripts/train_ssdlite.py, published names, weights files, and checkpoints of ultralytics.
"""

import argparse
import sys
from pathlib import Path
from typing import Any, get_args

from mvdet.checkpoints.ultralytics_file import is_ultralytics_file
from mvdet.data.bad_data import DEFAULT_POLICY, BadDataPolicy
from mvdet.data.detection import DetectionDataset
from mvdet.evaluation.coco import BACKENDS, IOU_TYPES
from mvdet.evaluation.dataset_report import format_tables, report_on_dataset
from mvdet.evaluation.detector import choose_device, run_detector
from mvdet.evaluation.report import SCORE_THRESHOLD, evaluate_results_file, format_table
from mvdet.models.detection_io import find_detector
from mvdet.training.detection_data import detection_dataset
from mvdet.training.recipe import read_settings
from mvdet.training.ssdlite_recipe import SSDLiteRecipe, recipes

# Flags that say nothing in the other way to call the script, with their defaults.
_RESULTS_FLAGS: dict[str, Any] = {"annotations": None, "images": None, "iou_type": IOU_TYPES[0]}
_MODEL_FLAGS: dict[str, Any] = {
    **{"data_format": None, "data_root": None, "split": None, "class_names": None, "on_bad_data": DEFAULT_POLICY},
    **{"size": None, "batch_size": 16, "workers": 2, "device": "auto"},
}


def main() -> None:
    """Parse the command line, evaluate, print the table; a problem is one line, and exit code 1."""
    arguments = _parser().parse_args()
    try:
        _settle(arguments)
        if arguments.model is None:
            _evaluate_results(arguments)
        else:
            _evaluate_model(arguments)
    except (ValueError, OSError, ModuleNotFoundError) as error:
        sys.exit(f"error: {error}")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    what = parser.add_mutually_exclusive_group(required=True)
    what.add_argument("--model", metavar="CKPT|NAME", help="checkpoint, weights or published name")
    what.add_argument("--results", type=Path, metavar="R.json", help="COCO results")
    parser.add_argument("--output", type=Path, required=True, metavar="DIR", help="folder to write to")
    parser.add_argument("--backend", choices=BACKENDS, default=BACKENDS[0], help="default: %(default)s")
    parser.add_argument(
        "--score-threshold",
        type=float,
        default=SCORE_THRESHOLD,
        metavar="S",
        help="lowest score in the confusion matrix and the mistakes (default: %(default)s)",
    )

    model = parser.add_argument_group("with --model", "the data set as in training, with the same names")
    model.add_argument("--data-format", choices=list(recipes()))
    model.add_argument("--data-root", type=Path, metavar="DIR", help="folder of the data set")
    model.add_argument("--split", nargs="+", help="split or splits; for voc also YEAR:SPLIT; default: the recipe's")
    model.add_argument("--class-names", nargs="+", metavar="NAME", help="of a voc data set; default: the recipe's")
    model.add_argument("--on-bad-data", choices=get_args(BadDataPolicy), help=f"default: {DEFAULT_POLICY}")
    model.add_argument("--size", type=int, nargs=2, metavar=("H", "W"), help="default: as the model was trained")
    model.add_argument("--batch-size", type=int, metavar="N", help="default: 16; YOLO takes one at a time")
    model.add_argument("--workers", type=int, metavar="N", help="processes that load images (default: 2)")
    model.add_argument("--device", help="auto, cpu, cuda, cuda:1 ... (default: auto)")

    results = parser.add_argument_group("with --results")
    results.add_argument("--annotations", type=Path, metavar="A.json", help="COCO instances")
    results.add_argument("--images", type=Path, metavar="FOLDER", help="folder of the images, for the mistakes")
    results.add_argument("--iou-type", choices=IOU_TYPES, help=f"default: {IOU_TYPES[0]}")
    return parser


def _settle(arguments: argparse.Namespace) -> None:
    """Fill in the defaults; refuse flags that would be ignored, and ask for the one that must be there."""
    way, needed, own, other = "--model", "data_format", _MODEL_FLAGS, _RESULTS_FLAGS
    if arguments.model is None:
        way, needed, own, other = "--results", "annotations", _RESULTS_FLAGS, _MODEL_FLAGS
    for name in other:
        if getattr(arguments, name) is not None:
            raise ValueError(f"--{name.replace('_', '-')} does not go with {way}")
    if getattr(arguments, needed) is None:
        raise ValueError(f"{way} needs --{needed.replace('_', '-')}")
    for name, default in own.items():
        if getattr(arguments, name) is None:
            setattr(arguments, name, default)


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


def _evaluate_model(arguments: argparse.Namespace) -> None:
    size = arguments.size and (arguments.size[0], arguments.size[1])
    device = choose_device(arguments.device)
    if Path(arguments.model).is_file() and is_ultralytics_file(arguments.model):
        from mvdet.yolo.coco_results import run_yolo  # ultralytics takes seconds to import, and only this needs it

        dataset = _dataset(arguments, size)
        results = run_yolo(arguments.model, dataset, size=size, device=device)
    else:
        detector = find_detector(arguments.model)
        dataset = _dataset(arguments, size or detector.size)
        results = run_detector(
            detector, dataset, batch_size=arguments.batch_size, workers=arguments.workers, device=device
        )
    found = report_on_dataset(
        dataset, results, arguments.output, backend=arguments.backend, score_threshold=arguments.score_threshold
    )
    print(format_tables(*found))


def _dataset(arguments: argparse.Namespace, size: tuple[int, int] | None) -> DetectionDataset:
    """The validation images that training would take, or those of `--split`."""
    settings = read_settings(SSDLiteRecipe, recipes()[arguments.data_format])
    settings |= {"data_format": arguments.data_format, "data_root": arguments.data_root}
    settings |= {"on_bad_data": arguments.on_bad_data}
    if arguments.split:
        settings["val_split"] = tuple(arguments.split)
    if arguments.class_names:
        settings["class_names"] = tuple(arguments.class_names)
    return detection_dataset(SSDLiteRecipe(**settings), train=False, size=size)


if __name__ == "__main__":
    main()
