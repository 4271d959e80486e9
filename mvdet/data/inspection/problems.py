"""What makes it impossible to learn from a data set, or to measure on it."""

from collections.abc import Callable, Mapping

from mvdet.data.inspection.statistics import VALIDATION, Statistics
from mvdet.data.io.faults import Fault
from mvdet.wording import listed


def problems(statistics: Statistics) -> list[str]:
    """Why nothing can be learnt from a split, or measured on it; empty if something can.

    A class that does not occur is no problem while others do: see `mvdet.data.inspection.suspicions`.
    """
    return list(_PROBLEMS[statistics.unit](statistics))


def _no_objects(statistics: Statistics) -> list[str]:
    if statistics.total:
        return []
    reasons = [f"{fault} {count}" for fault, count in statistics.left_out.items()]
    left_out = f"; left out: {', '.join(reasons)}" if reasons else "; the annotations hold none"
    if statistics.not_counted:
        left_out = f"; the {statistics.not_counted} there are crowds or marked as difficult, which do not count"
    hint = "; --class-names says which classes the files have" if Fault.UNKNOWN_CATEGORY in statistics.left_out else ""
    return [
        f"{statistics.split} data: not one usable object in {statistics.images} images, of the classes "
        f"{listed(statistics.per_class)}{left_out}{hint}"
    ]


def _no_contrast_of_pixels(statistics: Statistics) -> list[str]:
    """A single class fits every pixel, and the mean IoU of that is 1."""
    present = _present(statistics)
    if len(present) > 1:
        return []
    where = f"{statistics.split} data: of {listed(statistics.per_class)}, the {statistics.images} masks hold"
    if not present:
        return [f"{where} not one pixel, but 255 alone, which does not count"]
    question = ""
    if statistics.not_counted:
        question = ", and 255, which does not count: 0/255 masks? --mask-values 0 255 makes 255 the second class"
    return [f"{where} {present[0]} alone{question}"]


def _no_contrast_of_images(statistics: Statistics) -> list[str]:
    present = _present(statistics)
    if len(present) > 1 or (statistics.split == VALIDATION and len(statistics.per_class) > 1):
        return []
    return [f"{statistics.split} data: {statistics.images} images, all of {present[0]}: no other class to tell it from"]


def _present(statistics: Statistics) -> list[str]:
    return [name for name, count in statistics.per_class.items() if count]


_PROBLEMS: Mapping[str, Callable[[Statistics], list[str]]] = {
    "objects": _no_objects,
    "pixels": _no_contrast_of_pixels,
    "images": _no_contrast_of_images,
}
