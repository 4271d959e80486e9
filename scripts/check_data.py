"""Look at a data set before training: counts, classes, sizes, faults, what looks wrong, a sheet of annotated pictures.

    python scripts/check_data.py my_coco --task detection --data-format coco
    python scripts/check_data.py VOC2012 --task segmentation --data-format voc --output report/

The exit status is 1 where nothing can be trained on the data.
"""

import argparse
import sys
from pathlib import Path
from typing import get_args

from mvdet.data.io.faults import BadDataPolicy
from mvdet.tasks import TASKS
from mvdet.training.data_report import check_data, data_recipe


def main() -> None:
    """Parse the command line, check, print the report; a data set that cannot be opened is one line."""
    arguments = vars(_parser().parse_args())
    task, data_format, output = (arguments.pop(name) for name in ("task", "data_format", "output"))
    try:
        report = check_data(task, data_recipe(task, data_format, arguments), output)
    except (ValueError, OSError, RuntimeError) as error:
        sys.exit(f"error: {error}")
    print(report.text)
    sys.exit(1 if report.errors else 0)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data_root", type=Path, metavar="FOLDER", help="of the data set")
    parser.add_argument("--task", choices=list(TASKS), required=True)
    formats = "; ".join(f"{name}: {', '.join(task.data_formats)}" for name, task in TASKS.items())
    parser.add_argument("--data-format", required=True, metavar="NAME", help=formats)
    parser.add_argument("--train-split", nargs="+", metavar="NAME", help="default: the recipe's")
    parser.add_argument("--val-split", nargs="+", metavar="NAME", help="default: the recipe's")
    parser.add_argument("--class-names", nargs="+", metavar="NAME", help="default: the recipe's, or those of the files")
    parser.add_argument("--mask-values", nargs="+", type=int, metavar="N", help="what masks hold for each class")
    parser.add_argument("--mask-folder", metavar="NAME", help="of a voc data set, as SegmentationClassAug")
    parser.add_argument("--on-bad-data", choices=get_args(BadDataPolicy), help="default: the recipe's")
    parser.add_argument("--output", type=Path, metavar="DIR", help="folder of the sheets; without it, none is made")
    return parser


if __name__ == "__main__":
    main()
