"""Look at a data set before training: counts, classes, sizes, faults, what looks wrong, a sheet of annotated pictures.

    python scripts/check_data.py FOLDER
    python scripts/check_data.py VOC2012 --task segmentation --output report/

Task and format are found out from the folder; --task and --data-format settle doubt. The exit status is 1 where nothing
can be trained on the data.
"""

import argparse
import sys
from pathlib import Path
from typing import get_args

from mvdet.data.io.faults import BadDataPolicy
from mvdet.tasks import TASKS
from mvdet.training.data_report import check_data, data_recipe

SHEETS = Path("runs/check_data")
"""Where the sheets of a folder go to, under its name, unless --output says otherwise."""


def main() -> None:
    """Parse the command line, check, print the report; a data set that cannot be opened is one line."""
    arguments = vars(_parser().parse_args())
    root, task, data_format, output = (arguments.pop(name) for name in ("data_root", "task", "data_format", "output"))
    try:
        report = check_data(*data_recipe(root, task, data_format, arguments), output or SHEETS / root.resolve().name)
    except (ValueError, OSError, RuntimeError) as error:
        sys.exit(f"error: {error}")
    print(report.text)
    sys.exit(1 if report.errors else 0)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data_root", type=Path, metavar="FOLDER", help="of the data set")
    parser.add_argument("--task", choices=list(TASKS), help="default: found out from FOLDER, detection first")
    formats = "; ".join(f"{name}: {', '.join(task.data_formats)}" for name, task in TASKS.items())
    parser.add_argument("--data-format", metavar="NAME", help=f"default: found out from FOLDER; {formats}")
    parser.add_argument("--train-split", nargs="+", metavar="NAME", help="default: found in FOLDER")
    parser.add_argument("--val-split", nargs="+", metavar="NAME", help="default: found in FOLDER")
    parser.add_argument("--val-share", type=float, metavar="S", help="held out of a folder without validation images")
    parser.add_argument("--seed", type=int, metavar="N", help="that decides which images are held out")
    parser.add_argument("--class-names", nargs="+", metavar="NAME", help="default: those of the files")
    parser.add_argument("--mask-values", nargs="+", type=int, metavar="N", help="what masks hold for each class")
    parser.add_argument("--mask-folder", metavar="NAME", help="of a voc data set, as SegmentationClassAug")
    parser.add_argument("--on-bad-data", choices=get_args(BadDataPolicy), help="default: the recipe's")
    parser.add_argument("--output", type=Path, metavar="DIR", help=f"folder of the sheets; default: {SHEETS}/NAME")
    return parser


if __name__ == "__main__":
    main()
