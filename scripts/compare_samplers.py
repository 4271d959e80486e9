"""Train classifiers with the multi-scale sampler and with one size, its largest, and compare.

python scripts/compare_samplers.py --output runs/samplers

Flags are those of scripts/train_classifier.py; --seeds and --test-sizes come beside them. Writes a table and a plot.
"""

import argparse
import sys
from pathlib import Path

from mvdet.tasks import CLASSIFICATION
from mvdet.training.classification import ClassificationRecipe
from mvdet.training.recipe import parse_arguments
from mvdet.training.sampler_comparison import compare_samplers, write_report


def main() -> None:
    """Parse the command line, train, print the table."""
    parser = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--test-sizes", type=int, nargs="+", default=[64, 80, 96, 112, 128])
    arguments, rest = parser.parse_known_args()
    try:
        recipe = parse_arguments(ClassificationRecipe, rest, CLASSIFICATION.recipe_files(), description=__doc__ or "")
        output = recipe.output or Path("runs/samplers")
        runs = []
        for run in compare_samplers(recipe, output, seeds=arguments.seeds, test_sizes=arguments.test_sizes):
            runs.append(run)
            print(run, flush=True)
        table = write_report(runs, output)
    except (ValueError, OSError, RuntimeError) as error:
        sys.exit(f"error: {error}")
    print(f"\n{table}\n\nplot: {output / 'accuracy.png'}")


if __name__ == "__main__":
    main()
