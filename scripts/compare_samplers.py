"""Train classifiers with the multi-scale sampler and with one size, its largest, and compare.

python scripts/compare_samplers.py --output runs/samplers

Flags are those of scripts/train_classifier.py; --seeds and --test-sizes come beside them. Writes a table and a plot.
"""

import argparse
import sys
from pathlib import Path

from mvdet.training.classification import ClassificationRecipe, recipes
from mvdet.training.recipe import parse_arguments
from mvdet.training.sampler_comparison import compare_samplers, plot, table


def main() -> None:
    """Parse the command line, train, print the table."""
    own = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
    own.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    own.add_argument("--test-sizes", type=int, nargs="+", default=[64, 80, 96, 112, 128])
    arguments, rest = own.parse_known_args()
    try:
        recipe = parse_arguments(ClassificationRecipe, rest, recipes(), description=__doc__ or "")
        output = recipe.output or Path("runs/samplers")
        runs = []
        for run in compare_samplers(recipe, output, seeds=arguments.seeds, test_sizes=arguments.test_sizes):
            runs.append(run)
            print(run, flush=True)
    except (ValueError, OSError, RuntimeError) as error:
        sys.exit(f"error: {error}")
    (output / "table.md").write_text(table(runs) + "\n", encoding="utf-8")
    plot(runs, output / "accuracy.png")
    print(f"\n{table(runs)}\n\nplot: {output / 'accuracy.png'}")


if __name__ == "__main__":
    main()
