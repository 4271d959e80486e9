"""Score detections on COCO ground truth: metrics, plots, and the worst mistakes.

    python scripts/evaluate.py --results R.json --annotations A.json --images FOLDER --output DIR

writes results.json, metrics.json, precision_recall.png, confusion_matrix.png and, where images are given, mistakes/.
"""

import argparse
import sys
from pathlib import Path

from mvdet.evaluation.coco import BACKENDS, IOU_TYPES
from mvdet.evaluation.report import SCORE_THRESHOLD, evaluate_results_file, format_table


def main() -> None:
    """Parse the command line, evaluate, print the table; a problem is one line, and exit code 1."""
    arguments = _parser().parse_args()
    try:
        arguments.run(arguments)
    except (ValueError, OSError, ModuleNotFoundError) as error:
        sys.exit(f"error: {error}")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.set_defaults(run=_evaluate_results)
    parser.add_argument("--results", type=Path, required=True, metavar="R.json", help="COCO results")
    parser.add_argument("--annotations", type=Path, required=True, metavar="A.json", help="COCO instances")
    parser.add_argument("--output", type=Path, required=True, metavar="DIR", help="folder to write to")
    parser.add_argument("--images", type=Path, metavar="FOLDER", help="folder of the images, for the mistakes")
    parser.add_argument("--backend", choices=BACKENDS, default=BACKENDS[0], help="default: %(default)s")
    parser.add_argument("--iou-type", choices=IOU_TYPES, default=IOU_TYPES[0], help="default: %(default)s")
    parser.add_argument(
        "--score-threshold",
        type=float,
        default=SCORE_THRESHOLD,
        metavar="S",
        help="lowest score in the confusion matrix and the mistakes (default: %(default)s)",
    )
    return parser


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


if __name__ == "__main__":
    main()
