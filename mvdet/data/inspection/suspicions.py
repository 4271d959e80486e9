"""What looks like a mistake in a data set, though one can learn from it: said, and left to the reader."""

from collections.abc import Callable, Iterator, Mapping, Sequence

import numpy as np

from mvdet.data.datasets.detection import DetectionDataset
from mvdet.data.inspection.duplicates import annotated_differently, in_both, same_pictures
from mvdet.data.inspection.problems import problems
from mvdet.data.inspection.statistics import TRAINING, AnyDataset, Statistics
from mvdet.wording import listed

_MANY = 0.1
"""The share of boxes, or of what is left out, that is no accident any more."""
_DOMINANT: Mapping[str, float] = {"objects": 0.95, "images": 0.95, "pixels": 0.99}
"""The share of one class that leaves nothing to learn of the others, by what is counted; backgrounds are large."""
_CORNER, _ENOUGH_BOXES = 0.4, 20
"""Where so many boxes lie within such a share of width and height, the unit is another one."""


def suspicions(dataset: AnyDataset, statistics: Statistics) -> list[str]:
    """What looks wrong in one split, a line each."""
    return [
        f"{statistics.split} data: {text} ({dataset.bad_data.source})"
        for look in _LOOKS
        for text in look(dataset, statistics)
    ]


def suspicious_pictures(training: AnyDataset, validation: AnyDataset | None) -> list[str]:
    """Pictures that occur in both splits, or with different annotations, by their files' content; a line each."""
    datasets = [training] if validation is None else [training, validation]
    files = [[record.file for record in dataset.records] for dataset in datasets]
    groups = same_pictures(files)

    def shown(pairs: Sequence[tuple[tuple[int, int], tuple[int, int]]]) -> str:
        examples = [" = ".join(files[split][index] for split, index in pair) for pair in pairs]
        return listed(examples, shown=3, cut=300)

    texts = []
    if pairs := in_both(groups):
        texts.append(f"{len(pairs)} of {len(files[1])} validation pictures are training pictures, too: {shown(pairs)}")
    if pairs := annotated_differently(groups, datasets):
        texts.append(f"{len(pairs)} pictures occur twice with different annotations: {shown(pairs)}")
    return texts


def _missing_classes(dataset: AnyDataset, statistics: Statistics) -> Iterator[str]:
    if statistics.missing and not problems(statistics):
        effect = "cannot be learnt" if statistics.split == TRAINING else "cannot be measured"
        count = f"{len(statistics.missing)} of {len(statistics.per_class)} classes"
        yield f"{count} never occur and {effect}: {listed(statistics.missing)}"


def _dominant_class(dataset: AnyDataset, statistics: Statistics) -> Iterator[str]:
    name, most = max(statistics.per_class.items(), key=lambda item: item[1], default=("", 0))
    if len(statistics.per_class) - len(statistics.missing) > 1 and most > _DOMINANT[statistics.unit] * statistics.total:
        share = f"{100 * most / statistics.total:.1f} %"
        yield f"{share} of the {statistics.unit} are {name}, of {len(statistics.per_class)} classes"


def _left_out(dataset: AnyDataset, statistics: Statistics) -> Iterator[str]:
    for kind, (left_out, total) in statistics.shares_left_out.items():
        if left_out > _MANY * total:
            yield f"{left_out} of {total} {kind} are left out"


def _ignored_pixels(dataset: AnyDataset, statistics: Statistics) -> Iterator[str]:
    total = statistics.total + statistics.not_counted
    if statistics.unit == "pixels" and 2 * statistics.not_counted > total:
        yield (
            f"{100 * statistics.not_counted / total:.1f} % of the pixels are 255, which does not count: "
            "0/255 masks? --mask-values says what stands for each class"
        )


def _box_units(dataset: AnyDataset, statistics: Statistics) -> Iterator[str]:
    if not isinstance(dataset, DetectionDataset) or not len(dataset.records.objects):
        return
    boxes, total = dataset.records.objects["box"], len(dataset.records.objects)
    sizes = np.tile(dataset.records.image_sizes[dataset.records.image_of_object], 2)  # [n, 4]: width, height, ...
    normalised = int((boxes.max(axis=1) <= 1).sum())
    if normalised > _MANY * total:
        yield f"{normalised} of {total} boxes lie within 0 to 1: normalised coordinates? pixels are wanted"
    elif total >= _ENOUGH_BOXES and (boxes <= _CORNER * sizes).all():
        edge = ", ".join(f"{value:g}" for value in boxes[:, 2:].max(axis=0))
        yield f"no box reaches beyond {edge} pixels from the upper left corner: coordinates of another unit or size?"
    if dataset.corner_like > _MANY * total:
        yield (
            f"{dataset.corner_like} of {total} boxes leave their images as x, y, width, height, and would not "
            "as x1, y1, x2, y2: corners in place of sizes?"
        )


_LOOKS: tuple[Callable[[AnyDataset, Statistics], Iterator[str]], ...] = (
    *(_missing_classes, _dominant_class, _left_out, _ignored_pixels, _box_units),
)
