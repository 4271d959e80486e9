"""What a split of a data set holds, counted: images, and what there is of each class."""

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from mvdet.data.datasets.base import RecordDataset
from mvdet.data.datasets.classification import ClassificationDataset
from mvdet.data.datasets.detection import DetectionDataset
from mvdet.data.datasets.segmentation import SegmentationDataset
from mvdet.data.io.faults import Fault
from mvdet.data.io.masks import IGNORE_INDEX
from mvdet.wording import listed

AnyDataset = DetectionDataset | SegmentationDataset | ClassificationDataset

TRAINING, VALIDATION = "training", "validation"

SIZES: Mapping[str, float] = {"small": 32.0**2, "medium": 96.0**2, "large": float("inf")}
"""Areas in square pixels below which COCO calls an object so (pycocotools, `Params.areaRng`)."""

_OF_OBJECTS = {
    *(Fault.UNKNOWN_CATEGORY, Fault.NOT_A_BOX, Fault.NO_AREA, Fault.OUTSIDE, Fault.BAD_AREA, Fault.BAD_FLAG),
    *(Fault.UNKNOWN_IMAGE, Fault.BAD_ROW, Fault.NO_NAME, Fault.BAD_ID),
}
"""The faults that leave out an object of an image; all others leave out the image."""


@dataclass(frozen=True, slots=True)
class Statistics:
    """A split in numbers.

    Attributes:
        split: what it is called: `TRAINING` or `VALIDATION`.
        unit: what is counted for each class: "objects", "pixels" or "images".
        images: number of usable images.
        per_class: by class name, in the order of the labels, what counts: in detection neither crowds nor objects to
            ignore, in segmentation no pixel of 255.
        images_with: by class name, the images that have any of it.
        empty: images that have nothing of any class.
        not_counted: crowds and objects to ignore, or pixels of 255.
        sizes: of detection: objects by COCO's names of sizes.
        left_out: bad items by reason.
        part: the share that these images are of those that were found together with the bad items.
    """

    split: str
    unit: str
    images: int
    per_class: Mapping[str, int]
    images_with: Mapping[str, int]
    empty: int = 0
    not_counted: int = 0
    sizes: Mapping[str, int] = field(default_factory=dict)
    left_out: Mapping[Fault, int] = field(default_factory=dict)
    part: float = 1.0

    @property
    def total(self) -> int:
        """What counts, of all classes together."""
        return sum(self.per_class.values())

    @property
    def missing(self) -> list[str]:
        """The classes of which there is nothing."""
        return [name for name, count in self.per_class.items() if not count]

    @property
    def shares_left_out(self) -> dict[str, tuple[int, int]]:
        """Of images and of objects: how many were left out, and how many there were."""
        of_objects = sum(count for fault, count in self.left_out.items() if fault in _OF_OBJECTS)
        of_images = sum(self.left_out.values()) - of_objects
        shares = {"images": (of_images, of_images + round(self.images / self.part))}
        if self.unit == "objects":
            shares["objects"] = of_objects, of_objects + round((self.total + self.not_counted) / self.part)
        return shares

    def line(self) -> str:
        """Images, objects and classes, on one line."""
        counted = "" if self.unit == "images" else f", {self.total} {self.unit}"
        empty = f" ({self.empty} without {self.unit})" if self.empty else ""
        classes = f"{len(self.per_class)} class{'' if len(self.per_class) == 1 else 'es'}"
        return f"{self.split} data: {self.images} images{empty}{counted}, {classes}: {listed(self.per_class, 5)}"


def statistics_of(dataset: AnyDataset, split: str) -> Statistics:
    """Count a data set: from what is in memory, but for masks that were not read when it was made.

    Args:
        dataset: of one of the tasks.
        split: what it is called in messages.

    Raises:
        ValueError: a mask that was not looked at before cannot be used.
    """
    count = next(count for kind, count in _COUNTS.items() if isinstance(dataset, kind))
    images, left_out = len(dataset), Counter(dataset.bad_data.counts)
    return Statistics(split=split, images=images, left_out=left_out, part=dataset.part, **count(dataset))


def _count_objects(dataset: DetectionDataset) -> dict[str, Any]:
    records, objects = dataset.records, dataset.records.objects
    counts = ~(objects["iscrowd"] | objects["ignore"])
    labels, image_of, areas = objects["label"][counts], records.image_of_object[counts], objects["area"][counts]
    pairs = np.unique(np.stack([labels, image_of]), axis=1)
    size_of = np.searchsorted(list(SIZES.values()), areas, side="right")
    return {
        "unit": "objects",
        "per_class": _by_class(dataset, np.bincount(labels, minlength=len(dataset.class_names) + 1)[1:]),
        "images_with": _by_class(dataset, np.bincount(pairs[0], minlength=len(dataset.class_names) + 1)[1:]),
        "empty": len(records) - len(np.unique(image_of)),
        "not_counted": int((~counts).sum()),
        "sizes": dict(zip(SIZES, np.bincount(size_of, minlength=len(SIZES)).tolist(), strict=True)),
    }


def _count_pixels(dataset: SegmentationDataset) -> dict[str, Any]:
    pixels, masks_with = dataset.count_pixels()
    return {
        "unit": "pixels",
        "per_class": _by_class(dataset, pixels),
        "images_with": _by_class(dataset, masks_with),
        "not_counted": int(pixels[IGNORE_INDEX]),
    }


def _count_images(dataset: ClassificationDataset) -> dict[str, Any]:
    labels = np.array([record.label for record in dataset.records], dtype=np.int64)
    per_class = _by_class(dataset, np.bincount(labels, minlength=len(dataset.class_names)))
    return {"unit": "images", "per_class": per_class, "images_with": per_class}


def _by_class(dataset: AnyDataset, counts: Any) -> dict[str, int]:
    """Counts by class name; those behind the last class are no classes'."""
    return dict(zip(dataset.class_names, counts.tolist(), strict=False))


_COUNTS: dict[type[RecordDataset[Any, Any, Any]], Callable[[Any], dict[str, Any]]] = {
    DetectionDataset: _count_objects,
    SegmentationDataset: _count_pixels,
    ClassificationDataset: _count_images,
}
