"""Detect objects in pictures and videos, classify them or segment them, as the model does.

    python scripts/predict.py --model runs/ssdlite/train/checkpoints/best.ckpt photos/ clip.mp4 "x/*.jpg" --output out
    python scripts/predict.py --model mobilevit_s photos/ --output out
    python scripts/predict.py --model deeplabv3_mobilevit_s photos/ --output out

writes each picture with what was found in it, each video as mp4, and out/detections.json, classifications.json or
segmentations.json; of segmentation out/masks/, too: palette PNG files of class numbers.
"""

import argparse
import sys
from pathlib import Path

from mvdet.evaluation.predict.predictors import SCORE_THRESHOLD
from mvdet.evaluation.predict.run import predict
from mvdet.evaluation.run.batches import choose_device
from mvdet.models.trained import find_model
from mvdet.tasks import DETECTION


def main() -> None:
    """Parse the command line, predict, say where the results are; problems are one line each, and exit code 1."""
    arguments = _parser().parse_args()
    try:
        model = find_model(arguments.model)
        result = predict(
            model,
            arguments.source,
            arguments.output,
            score_threshold=arguments.score_threshold,
            sliding_window=arguments.sliding_window,
            size=arguments.size and tuple(arguments.size),
            device=choose_device(arguments.device),
            batch_size=arguments.batch_size,
        )
    except (ValueError, OSError) as error:
        sys.exit(f"error: {error}")
    objects = f"{result.objects} objects in " if model.task is DETECTION else ""
    print(f"{objects}{result.files} files; see {result.json}")
    for problem in result.problems:
        print(f"error: {problem}", file=sys.stderr)
    if result.problems:
        sys.exit(f"error: {len(result.problems)} files could not be read, or not to their end")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("source", nargs="+", metavar="SOURCE", help="image, video, folder, or pattern in quotes")
    parser.add_argument("--model", required=True, metavar="CKPT|NAME", help="checkpoint, weights or published name")
    parser.add_argument("--output", type=Path, required=True, metavar="DIR", help="folder to write to")
    parser.add_argument("--score-threshold", type=float, metavar="S", help=f"of a detector, default: {SCORE_THRESHOLD}")
    parser.add_argument(
        "--sliding-window", action="store_true", help="of segmentation: look window by window, at full resolution"
    )
    parser.add_argument(
        "--size", type=int, nargs=2, metavar=("H", "W"), help="that the model sees; default: as it was trained"
    )
    parser.add_argument("--device", default="auto", help="auto, cpu, cuda, cuda:1 ... (default: %(default)s)")
    parser.add_argument("--batch-size", type=int, default=8, metavar="N", help="default: %(default)s")
    return parser


if __name__ == "__main__":
    main()
