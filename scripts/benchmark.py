"""Print how fast mvdet is against others, as median ratios of interleaved runs in one process.

    pip install -e '.[bench,export]'
    python scripts/benchmark.py                 # everything: most of half an hour
    python scripts/benchmark.py inference yolo  # parts of it
    python scripts/benchmark.py --short         # everything in small: does it run?

Writes tables.md, results.json with every single time, and plots. A ratio above 1 means that mvdet is faster; in
brackets, first and third quartile. What no machine decides (kernels, copies, FLOPs, activation memory) is compared with
cfg/benchmark_limits.yaml, and growth is an error.
"""

import argparse
import faulthandler
import os
import sys
from pathlib import Path

import torch

from mvdet import list_backbones
from mvdet.benchmarks import suite
from mvdet.benchmarks.suite import Findings, Settings


def _yolo(settings: Settings) -> Findings:
    from mvdet.yolo.speed import prediction  # ultralytics takes seconds to import, and only this part needs it

    return Findings(list(prediction(sizes=(320,) if settings.short else (320, 640), **settings.limits)))


PARTS = {**suite.PARTS, "yolo": _yolo}
PARTS["runtimes"] = PARTS.pop("runtimes")  # the last: the threads that its libraries start stay in the process
VARIANTS = ["mobilevit_xxs", "mobilevit_s", "mobilevitv2_050", "mobilevitv2_100"]


def main() -> None:
    """Parse, measure, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("parts", nargs="*", metavar="PART", help=f"of {', '.join(PARTS)} (default: all)")
    parser.add_argument("--threads", type=int, default=os.cpu_count(), help="threads (default: all cores)")
    parser.add_argument("--variants", nargs="+", default=VARIANTS, choices=list_backbones(), metavar="NAME")
    parser.add_argument(
        "--sizes",
        type=int,
        nargs="+",
        default=[256, 320, 512],
        help="image sides of `inference` (default: 256 320 512)",
    )
    parser.add_argument("--repeats", type=int, default=15, help="counted rounds of a case, at most (default: 15)")
    parser.add_argument("--seconds", type=float, default=15, help="for the rounds of a case (default: 15)")
    parser.add_argument("--short", action="store_true", help="few rounds, small images, one variant of each version")
    parser.add_argument("--output", type=Path, default=Path("runs/benchmark"), help="folder (default: %(default)s)")
    args = parser.parse_args()
    if unknown := [part for part in args.parts if part not in PARTS]:
        parser.error(f"no part {', '.join(unknown)}; available: {', '.join(PARTS)}")
    faulthandler.enable()  # four projects' native code runs here: a crash says where
    torch.set_num_threads(args.threads)
    settings = Settings(tuple(args.variants), tuple(args.sizes), args.repeats, args.seconds, args.short, args.output)
    errors = suite.run({part: PARTS[part] for part in args.parts or PARTS}, settings)
    sys.exit("\n".join(errors) or None)


if __name__ == "__main__":
    main()
