"""What the training scripts do: read the command line, train, say where the results are."""

import signal
import sys
from collections.abc import Callable, Mapping
from pathlib import Path

from pytorch_lightning.utilities.exceptions import SIGTERMException

from mvdet.training.recipe import parse_arguments
from mvdet.training.run import Recipe, train
from mvdet.training.task import TrainingTask


def run_command(
    recipe: type[Recipe],
    make_task: Callable[[Recipe], TrainingTask],
    recipes: Mapping[str, Path],
    *,
    name: str,
    description: str | None,
) -> None:
    """Train as the command line says.

    Args:
        recipe: the settings that it can give.
        make_task: the task of such a recipe.
        recipes: the recipe file that each data format starts from.
        name: of the folder in `runs` that runs go to.
        description: for `--help`.

    Raises:
        SystemExit: a problem, with one line that says it, or SIGTERM, as the shell reports it.
    """
    try:
        settings = parse_arguments(recipe, sys.argv[1:], recipes, description=description or "")
        result = train(settings, make_task, name)
    except SIGTERMException:
        sys.exit(128 + signal.SIGTERM)
    except (ValueError, OSError, RuntimeError) as error:
        sys.exit(f"error: {error}")
    numbers = ", ".join(f"{name} {value:.3f}" for name, value in result.metrics.items())
    print(f"{numbers}; best checkpoint {result.best}; results in {result.output}")
