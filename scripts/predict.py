"""Detect objects in pictures and videos.

    python scripts/predict.py --model runs/ssdlite/train/checkpoints/best.ckpt photos/ clip.mp4 "x/*.jpg" --output out

writes each picture with its boxes, each video as mp4, and out/detections.json.
"""

import argparse
import sys
from pathlib import Path

from mvdet.evaluation.detector import choose_device
from mvdet.evaluation.prediction import DETECTIONS, SCORE_THRESHOLD, predict
from mvdet.models.detection_io import find_detector


def main() -> None:
    """Parse the command line, predict, say where the results are; problems are one line each, and exit code 1."""
    arguments = _parser().parse_args()
    try:
        result = predict(
            find_detector(arguments.model),
            arguments.source,
            arguments.output,
            score_threshold=arguments.score_threshold,
            size=arguments.size and tuple(arguments.size),
            device=choose_device(arguments.device),
            batch_size=arguments.batch_size,
        )
    except (ValueError, OSError) as error:
        sys.exit(f"error: {error}")
    print(f"{result.objects} objects in {result.files} files; see {arguments.output / DETECTIONS}")
    for problem in result.problems:
        print(f"error: {problem}", file=sys.stderr)
    if result.problems:
        sys.exit(f"error: {len(result.problems)} files could not be read, or not to their end")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("source", nargs="+", metavar="SOURCE", help="image, video, folder, or pattern in quotes")
    parser.add_argument("--model", required=True, metavar="CKPT|NAME", help="checkpoint, weights or published name")
    parser.add_argument("--output", type=Path, required=True, metavar="DIR", help="folder to write to")
    parser.add_argument(
        "--score-threshold", type=float, default=SCORE_THRESHOLD, metavar="S", help="default: %(default)s"
    )
    parser.add_argument(
        "--size", type=int, nargs=2, metavar=("H", "W"), help="that the detector sees; default: as it was trained"
    )
    parser.add_argument("--device", default="auto", help="auto, cpu, cuda, cuda:1 ... (default: %(default)s)")
    parser.add_argument("--batch-size", type=int, default=8, metavar="N", help="default: %(default)s")
    return parser


if __name__ == "__main__":
    main()
