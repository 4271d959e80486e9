"""Train SSDLite on MobileViT. Without arguments: a small one on the generated `shapes` data set, in a few minutes.

python scripts/train_ssdlite.py --data-format coco --data-root coco --backbone mobilevit_s --weights-backbone apple
"""

import signal
import sys

from pytorch_lightning.utilities.exceptions import SIGTERMException

from mvdet.training.recipe import parse_arguments
from mvdet.training.run import train_detector
from mvdet.training.ssdlite_recipe import SSDLiteRecipe, recipes


def main() -> None:
    """Parse the command line, train, say where the results are; a problem is one line, and exit code 1."""
    try:
        recipe = parse_arguments(SSDLiteRecipe, sys.argv[1:], recipes(), description=__doc__ or "")
        result = train_detector(recipe)
    except SIGTERMException:
        sys.exit(128 + signal.SIGTERM)  # as the shell reports a process that was told to end
    except (ValueError, OSError, RuntimeError) as error:
        sys.exit(f"error: {error}")
    numbers = ", ".join(f"{name} {value:.3f}" for name, value in result.metrics.items())
    print(f"{numbers}; best checkpoint {result.best}; results in {result.output}")


if __name__ == "__main__":
    main()
