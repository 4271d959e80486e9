"""Print how fast mvdet is against others, as median ratios of interleaved runs in one process.

    pip install -e '.[bench]'
    python scripts/benchmark.py backbones --variants mobilevit_s mobilevitv2_100
    python scripts/benchmark.py ssdlite

A ratio above 1 means that mvdet is faster; in brackets, first and third quartile.
"""

import argparse
import os
import platform
from pathlib import Path

import torch

from mvdet import list_backbones
from mvdet.evaluation.backbone_speed import Row, inference_rows, training_memory, training_row
from mvdet.evaluation.measure import PairedTimes


def main() -> None:
    """Parse, measure, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--threads", type=int, default=os.cpu_count(), help="threads (default: all cores)")
    parts = parser.add_subparsers(required=True, metavar="PART")
    backbones = parts.add_parser("backbones", help="pyramids against timm's and transformers'")
    backbones.set_defaults(run=_backbones)
    backbones.add_argument(
        "--variants", nargs="+", default=["mobilevit_s", "mobilevitv2_100"], choices=list_backbones(), metavar="NAME"
    )
    backbones.add_argument("--size", type=int, default=320, help="image side in pixels (default: %(default)s)")
    backbones.add_argument("--batches", type=int, nargs="+", default=[1, 8], help="batch sizes (default: 1 8)")
    backbones.add_argument("--repeats", type=int, default=15, help="counted pairs of runs (default: %(default)s)")
    backbones.add_argument("--no-training", action="store_true", help="leave out the training step and its memory")
    ssdlite = parts.add_parser("ssdlite", help="post-processing against torchvision's, COCO evaluation, data loading")
    ssdlite.set_defaults(run=_ssdlite)
    ssdlite.add_argument("--backbone", default="mobilevit_s", choices=list_backbones(), metavar="NAME")
    ssdlite.add_argument("--images", type=int, default=5000, help="images that are evaluated (default: %(default)s)")
    ssdlite.add_argument("--data-root", type=Path, metavar="DIR", help="of `shapes` (default: datasets/shapes)")
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    print(f"{platform.machine()}, {args.threads} threads, torch {torch.__version__}\n")
    args.run(args)


def _backbones(args: argparse.Namespace) -> None:
    print(f"{args.size} x {args.size} pixels\n")
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


def _ssdlite(args: argparse.Namespace) -> None:
    from mvdet.evaluation.detector_speed import evaluation_times, loading_rates, postprocessing_times
    from mvdet.training.detection_data import detection_dataset
    from mvdet.training.loaders import train_loader
    from mvdet.training.ssdlite_recipe import SSDLiteRecipe

    print("| what | against | ratio (quartiles) | mvdet ms | theirs ms |\n|---|---|---|---|---|")
    for logits, times in postprocessing_times().items():
        what = f"post-processing, 8 images, 3,232 anchors, 81 classes, {logits} logits"
        print(f"| {what} | torchvision | {_times(times)} |", flush=True)
    times = evaluation_times(images=args.images)
    what = f"COCO's numbers, {args.images} images, 100 detections each"
    print(f"| {what} | pycocotools | {_times(times)} |\n", flush=True)
    recipe = SSDLiteRecipe(backbone=args.backbone, batch_size=8, workers=2, data_root=args.data_root)
    loader = train_loader(detection_dataset(recipe, train=True), recipe)
    loaded, trained = loading_rates(loader, args.backbone, recipe.batch_size)
    print(f"Loader alone, two workers, 320 x 320: {loaded:.0f} images/s; training step of {args.backbone}, batch 8:")
    print(f"{trained:.1f} images/s; the loader is {loaded / trained:.0f} times as fast.")


def _line(row: Row) -> str:
    difference = "other weights" if row.difference is None else f"{row.difference:.0e}"
    if row.what == "training step":
        difference = ""
    return f"| {row.variant} | {row.what} | {row.batch} | {row.rival} | {_times(row.times)} | {difference} |"


def _times(times: PairedTimes) -> str:
    """Ratio with its quartiles, then both medians in milliseconds, as cells of a table."""
    low, high = times.spread
    ours, theirs = (sorted(values)[len(values) // 2] * 1e3 for values in (times.first, times.second))
    return f"{times.ratio:.2f} ({low:.2f} to {high:.2f}) | {ours:.1f} | {theirs:.1f}"


if __name__ == "__main__":
    main()
