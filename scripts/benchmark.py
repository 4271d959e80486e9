"""Print how fast mvdet's pyramids are against timm's and transformers', as median ratios of interleaved runs.

    pip install -e '.[bench]'
    python scripts/benchmark_backbones.py --variants mobilevit_s mobilevitv2_100

A ratio above 1 means that mvdet is faster; in brackets, first and third quartile.
"""

import argparse
import os
import platform

import torch

from mvdet import list_backbones
from mvdet.evaluation.backbone_speed import Row, inference_rows, training_memory, training_row


def main() -> None:
    """Parse, measure, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--variants", nargs="+", default=["mobilevit_s", "mobilevitv2_100"], choices=list_backbones(), metavar="NAME"
    )
    parser.add_argument("--size", type=int, default=320, help="image side in pixels (default: %(default)s)")
    parser.add_argument("--batches", type=int, nargs="+", default=[1, 8], help="batch sizes (default: 1 8)")
    parser.add_argument("--repeats", type=int, default=15, help="counted pairs of runs (default: %(default)s)")
    parser.add_argument("--threads", type=int, default=os.cpu_count(), help="threads (default: all cores)")
    parser.add_argument("--no-training", action="store_true", help="leave out the training step and its memory")
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    print(
        f"{platform.machine()}, {args.threads} threads, torch {torch.__version__}, {args.size} x {args.size} pixels\n"
    )
    print("| variant | what | batch | against | ratio (quartiles) | mvdet ms | theirs ms | difference |")
    print("|---|---|---|---|---|---|---|---|")
    for variant in args.variants:
        for row in inference_rows(variant, batches=tuple(args.batches), size=args.size, repeats=args.repeats):
            print(_line(row), flush=True)
        if not args.no_training:
            print(_line(training_row(variant, batch=8, size=args.size, repeats=max(args.repeats // 3, 3))), flush=True)
    if not args.no_training:
        print("\n| variant | peak memory of a training step, batch 8: mvdet | timm | ratio |\n|---|---|---|---|")
        for variant in args.variants:
            ours, theirs = training_memory(variant, batch=8, size=args.size)
            print(
                f"| {variant} | {ours / 2**20:.0f} MiB | {theirs / 2**20:.0f} MiB | {ours / theirs:.2f} |", flush=True
            )


def _line(row: Row) -> str:
    low, high = row.times.spread
    ours, theirs = (sorted(times)[len(times) // 2] * 1e3 for times in (row.times.first, row.times.second))
    difference = "other weights" if row.difference is None else f"{row.difference:.0e}"
    if row.what == "training step":
        difference = ""
    cells = (row.variant, row.what, row.batch, row.rival, f"{row.times.ratio:.2f} ({low:.2f} to {high:.2f})")
    return f"| {' | '.join(map(str, cells))} | {ours:.1f} | {theirs:.1f} | {difference} |"


if __name__ == "__main__":
    main()
