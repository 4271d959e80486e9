"""What `scripts/check_data.py` does: the data of a recipe in numbers and pictures, and what is wrong with it."""

import contextlib
import dataclasses
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np

from mvdet.data.inspection.problems import problems
from mvdet.data.inspection.statistics import TRAINING, VALIDATION, AnyDataset, Statistics, statistics_of
from mvdet.data.inspection.suspicions import suspicions, suspicious_pictures
from mvdet.data.io.images import BadImageError, read_image
from mvdet.data.recognition import recognise
from mvdet.evaluation.reports.data_sheet import write_data_sheet
from mvdet.evaluation.reports.text import table_lines
from mvdet.tasks import TASKS
from mvdet.training.classification import ClassificationRecipe, classification_dataset
from mvdet.training.detection import SSDLiteRecipe, detection_dataset
from mvdet.training.opening import described, recipe_of, training_and_validation
from mvdet.training.recipe import TrainingRecipe, read_settings
from mvdet.training.segmentation import SegmentationRecipe, segmentation_dataset

MOST_DECODED = 500
"""So many pictures of a split, evenly spread, are decoded: for the sizes, and for what only decoding can show."""

_THREADS = 4
_DATASETS: Mapping[str, tuple[type[TrainingRecipe], Any]] = {
    "detection": (SSDLiteRecipe, detection_dataset),
    "segmentation": (SegmentationRecipe, segmentation_dataset),
    "classification": (ClassificationRecipe, classification_dataset),
}


@dataclasses.dataclass(frozen=True, slots=True)
class DataReport:
    """What was found.

    Attributes:
        text: the report for the terminal, its remarks, warnings and errors among it.
        errors: why nothing can be trained on the data; empty if something can.
    """

    text: str
    errors: Sequence[str]


def data_recipe(
    root: Path, task: str | None, data_format: str | None, settings: Mapping[str, Any]
) -> tuple[str, TrainingRecipe]:
    """The task and the recipe whose data is to be checked.

    Args:
        root: the folder of the data set.
        task: a name of `mvdet.tasks.TASKS`; None recognises it.
        data_format: one of the task's; None recognises it.
        settings: over those that training starts from; splits and class names are lists, of which ["none"] takes the
            classes from the files. None is as if it were not there.

    Raises:
        FileNotFoundError: there is no data set that is understood.
        ValueError: a data format of another task, a setting that the task does not have, or one out of range; several
            formats fit.
    """
    tasks = [name for name in TASKS if task in (None, name) and data_format in (None, *TASKS[name].data_formats)]
    if not tasks:
        allowed = ", ".join(
            dict.fromkeys(key for name in TASKS if task in (None, name) for key in TASKS[name].data_formats)
        )
        raise ValueError(f"--data-format{f' for {task}' if task else ''} must be one of {allowed}, got {data_format}")
    if data_format is not None and len(tasks) == 1:
        (task,) = tasks
        file = TASKS[task].recipe_files()[data_format]
    else:
        found = recognise(root, task, data_format)
        task, data_format = found.task, found.data_format
        file = recipe_of(found)
    kind, _ = _DATASETS[task]
    given = {name: tuple(v) if isinstance(v, list) else v for name, v in settings.items() if v is not None}
    if given.get("class_names") == ("none",):
        given["class_names"] = None
    fields = {field.name for field in dataclasses.fields(kind)}
    for name in given:
        if name not in fields:
            raise ValueError(f"--{name.replace('_', '-')} does not go with {task}")
    if kind is ClassificationRecipe:
        for name in {"train_split", "val_split"} & given.keys():
            if len(given[name]) > 1:
                raise ValueError(f"a classifier has one split each, got {', '.join(given[name])}")
            (given[name],) = given[name]
    return task, kind(**read_settings(kind, file) | given | {"data_root": root, "data_format": data_format})


def check_data(task: str, recipe: TrainingRecipe, output: Path | None = None) -> DataReport:
    """Look at the training and the validation data of a recipe as a run would, and further.

    Args:
        task: a name of `mvdet.tasks.TASKS`.
        recipe: the task's, see `data_recipe`.
        output: the folder that sheets of pictures are written to; None writes none.

    Raises:
        OSError, ValueError: the data cannot be opened at all.
    """
    _, dataset_of = _DATASETS[task]
    lines: list[str] = [f"{described(recipe, TASKS[task])}, for {task}{_other_tasks(recipe, task)}", ""]
    remarks: list[str] = []
    warnings: list[str] = []
    errors: list[str] = []
    datasets: tuple[AnyDataset, AnyDataset] = training_and_validation(dataset_of, recipe)
    for split, dataset in zip((TRAINING, VALIDATION), datasets, strict=True):
        statistics = statistics_of(dataset, split)
        sizes, broken = _decode(dataset)
        lines += [*_lines(statistics), *_size_lines(sizes, len(dataset)), ""]
        remarks += [f"{split} data: {line}" for line in dataset.bad_data.remarks_summary().splitlines()]
        warnings += suspicions(dataset, statistics)
        warnings += [f"{split} data: cannot be decoded: {text}" for text in broken]
        errors += problems(statistics)
        if output is not None:
            lines[-1:] = [f"  sheet: {write_data_sheet(output / split, dataset, split)}", ""]
    warnings += suspicious_pictures(*datasets)
    lines += [f"remark: {text}" for text in remarks]
    lines += [f"warning: {text}" for text in warnings]
    lines += [f"error: {text}" for text in errors]
    if not remarks and not warnings and not errors:
        lines.append("nothing looks wrong")
    return DataReport("\n".join(lines), errors)


def _other_tasks(recipe: TrainingRecipe, task: str) -> str:
    """What else a recipe's folder can be used for, as the end of a line."""
    others = []
    for name in TASKS:
        with contextlib.suppress(FileNotFoundError, ValueError):
            if recipe.data_root is not None and name != task:
                others.append(recognise(recipe.data_root, name).task)
    return f"; for {' and '.join(others)} as well (--task says which)" if others else ""


def _lines(statistics: Statistics) -> list[str]:
    """Counts, a row for each class, sizes of objects, faults."""
    lines = [statistics.line()]
    rows = [
        (name, count, f"{100 * count / max(1, statistics.total):.1f} %", statistics.images_with[name])
        for name, count in statistics.per_class.items()
    ]
    lines += [f"  {line}" for line in table_lines(("class", statistics.unit, "share", "images"), (12, 8, 8), rows)]
    if statistics.not_counted:
        lines.append(f"  do not count: {statistics.not_counted} {statistics.unit}")
    if statistics.total and statistics.sizes:
        shares = [f"{name} {100 * count / statistics.total:.1f} %" for name, count in statistics.sizes.items()]
        lines.append(f"  object sizes: {', '.join(shares)} (COCO's: areas below 32², below 96², above)")
    faults = ", ".join(f"{fault} {count}" for fault, count in statistics.left_out.items())
    lines.append(f"  left out: {sum(statistics.left_out.values())}{f' ({faults})' if faults else ''}")
    return lines


def _size_lines(sizes: Sequence[tuple[int, int]], images: int) -> list[str]:
    if not sizes:
        return []
    ordered = sorted(sizes, key=lambda size: size[0] * size[1])
    (width, height), (middle_width, middle_height), (most_width, most_height) = (
        ordered[position] for position in (0, len(ordered) // 2, -1)
    )
    of = "" if len(sizes) == images else f", of {len(sizes)} images that were decoded"
    shown = f"{width} x {height} to {most_width} x {most_height}, median {middle_width} x {middle_height}"
    return [f"  image sizes: {shown if len(set(sizes)) > 1 else f'{width} x {height}'}{of}"]


def _decode(dataset: AnyDataset) -> tuple[list[tuple[int, int]], list[str]]:
    """Widths and heights of up to `MOST_DECODED` pictures, and what was said of those that cannot be decoded."""
    places = np.unique(np.linspace(0, len(dataset) - 1, min(MOST_DECODED, len(dataset))).round().astype(int)).tolist()

    def size(index: int) -> tuple[int, int] | str:
        try:
            height, width, _ = read_image(dataset.records[index].file).shape
        except BadImageError as error:
            return str(error)
        return width, height

    with ThreadPoolExecutor(_THREADS) as pool:
        found = list(pool.map(size, places))
    return [one for one in found if not isinstance(one, str)], [one for one in found if isinstance(one, str)]
