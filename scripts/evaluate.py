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
from pathlib import Path
from typing import Any, get_args

from mvdet.data.io.faults import DEFAULT_POLICY, BadDataPolicy
from mvdet.evaluation.metrics.coco import BACKENDS, IOU_TYPES
from mvdet.evaluation.reports.detection import SCORE_THRESHOLD
from mvdet.tasks import TASKS
from mvdet.training.evaluate import evaluate


def main() -> None:
    """Parse the command line, evaluate, print the table; a problem is one line, and exit code 1."""
    arguments = _parser().parse_args()
    try:
        table = evaluate(vars(arguments), _run_yolo)
    except (ValueError, OSError, ModuleNotFoundError) as error:
        sys.exit(f"error: {error}")
    print(table)


def _run_yolo(*arguments: Any, **options: Any) -> Any:
    from mvdet.yolo.evaluation import run_yolo  # ultralytics takes seconds to import, and few calls need it

    return run_yolo(*arguments, **options)


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
    formats = "; ".join(f"{task.noun}: {', '.join(task.data_formats)}" for task in TASKS.values())
    choices = sorted({name for task in TASKS.values() for name in task.data_formats})
    model.add_argument("--data-format", choices=choices, help=f"default: found out from --data-root; {formats}")
    model.add_argument("--data-root", type=Path, metavar="DIR", help="folder of the data set")
    model.add_argument(
        "--split", nargs="+", help="split or splits; for voc also YEAR:SPLIT; default: the recipe's, or what is found"
    )
    model.add_argument("--val-share", type=float, metavar="S", help="held out of a folder without validation images")
    model.add_argument("--seed", type=int, metavar="N", help="that decides which images are held out")
    model.add_argument("--class-names", nargs="+", metavar="NAME", help="default: those that the data set says")
    model.add_argument("--mask-folder", metavar="NAME", help="of a voc data set, as SegmentationClassAug")
    model.add_argument(
        "--mask-values", type=int, nargs="+", metavar="N", help="what masks hold for each class, as 0 255"
    )
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


if __name__ == "__main__":
    main()
