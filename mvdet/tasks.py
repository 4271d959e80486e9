"""One table of the tasks: what is different between classification, detection and segmentation, as data.

Whatever depends on the task asks here; nothing else lists the tasks.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from mvdet.resources import resource

_CONV_NORM = ("conv", "norm")


@dataclass(frozen=True, slots=True)
class Task:
    """A task, and the names that follow from it.

    Attributes:
        name: "classification", "detection" or "segmentation".
        noun: what a model for it is called in messages.
        prefix: what the model's name puts before its backbone's.
        has_background: whether the head counts a background, as class 0, that is not among the class names.
        head: the modules of the head by their keys in a state dict; 0 stands for any number.
        class_layers: a regular expression for the keys of the layers whose size follows the number of classes.
        recipes: the file in `cfg/recipes/` that a training run starts from, by data format.
        own_recipe: the one that a run on a folder of somebody's own starts from, where the format is not named.
        runs: the folder in `runs/` that training runs go to.
    """

    name: str
    noun: str
    prefix: str
    has_background: bool
    head: tuple[str, ...]
    class_layers: str
    recipes: Mapping[str, str]
    own_recipe: str
    runs: str

    @property
    def data_formats(self) -> tuple[str, ...]:
        """What `--data-format` may say for the task."""
        return tuple(self.recipes)

    @property
    def head_keys(self) -> str:
        """A regular expression for the keys of the head in a state dict."""
        modules = "|".join(re.escape(module).replace("0", "[0-9]+") for module in self.head)
        return rf"({modules})\.(weight|bias|running_mean|running_var|num_batches_tracked)$"

    def recipe_files(self) -> dict[str, Path]:
        """The recipe that each data format starts from.

        Raises:
            FileNotFoundError: the recipes did not come with the package.
        """
        return {name: _recipe_file(file) for name, file in self.recipes.items()}

    @property
    def own_recipe_file(self) -> Path:
        """The recipe for a folder of somebody's own; raises as `recipe_files`."""
        return _recipe_file(self.own_recipe)


def _recipe_file(name: str) -> Path:
    return resource(f"cfg/recipes/{name}.yaml")


DETECTION = Task(
    name="detection",
    noun="detector",
    prefix="ssdlite_",
    has_background=True,
    head=(
        *(f"head.projections.0.{part}" for part in _CONV_NORM),
        *(f"head.extras.0.{conv}.{part}" for conv in ("depthwise", "pointwise") for part in _CONV_NORM),
        "head.pool_projection",
        *(f"head.predictors.0.depthwise.{part}" for part in _CONV_NORM),
        *("head.predictors.0.pointwise", "head.predictors.0"),
    ),
    class_layers=r"head\.predictors\.(\d+\.pointwise|\d+)\.(weight|bias)$",
    recipes={name: f"ssdlite_{name}" for name in ("shapes", "bccd", "coco", "voc")}
    | dict.fromkeys(("yolo", "labelme", "via"), "ssdlite_folder"),
    own_recipe="ssdlite_folder",
    runs="ssdlite",
)
SEGMENTATION = Task(
    name="segmentation",
    noun="segmentation network",
    prefix="deeplabv3_",
    has_background=False,
    head=(
        *(
            f"{block}.{part}"
            for block in ("head.aspp.branches.0", "head.aspp.image_pool", "head.aspp.project", "aux_head.project")
            for part in _CONV_NORM
        ),
        *("head.classifier", "aux_head.classifier"),
    ),
    class_layers=r"(head|aux_head)\.classifier\.",
    recipes={name: f"deeplabv3_{name}" for name in ("shapes", "voc", "folder")},
    own_recipe="deeplabv3_folder",
    runs="deeplabv3",
)
CLASSIFICATION = Task(
    name="classification",
    noun="classifier",
    prefix="",
    has_background=False,
    head=("head",),
    class_layers=r"head\.(weight|bias)$",
    recipes={"shapes": "classifier_shapes", "folder": "mobilevit_imagenet"},
    own_recipe="classifier_folder",
    runs="classifier",
)

TASKS: dict[str, Task] = {task.name: task for task in (CLASSIFICATION, DETECTION, SEGMENTATION)}
"""By name."""


def task_of_model(name: str) -> Task:
    """The task of a model by its name, as "ssdlite_mobilevit_s": a classifier bears its backbone's name alone."""
    return next((task for task in TASKS.values() if task.prefix and name.startswith(task.prefix)), CLASSIFICATION)


def task_of_keys(keys: Mapping[str, object] | list[str]) -> Task | None:
    """The task of a state dict under our key names; None where no head is among the keys."""
    for task in (DETECTION, SEGMENTATION, CLASSIFICATION):
        pattern = re.compile(task.head_keys)
        if any(pattern.match(key) for key in keys):
            return task
    return None
