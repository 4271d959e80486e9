"""Detection data whose classes are known by their names: what tools draw, an annotation file for each image or one."""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from mvdet.data.datasets.detection import DetectionDataset
from mvdet.data.datasets.records import ImageRecord, ObjectRow, pack_objects
from mvdet.data.io.boxes import Box
from mvdet.data.io.faults import BadData, BadItemError, Fault
from mvdet.data.io.listing import is_no_file
from mvdet.wording import listed

Read = TypeVar("Read")


@dataclass(frozen=True, slots=True)
class DrawnObject:
    """One object of an annotation.

    Attributes:
        name: the class, as written.
        box: xyxy in pixels, edges from 0, inside the image; or what makes it unusable.
        where: the file, the object's number in it, and what was found, for messages.
        difficult: counts neither as found nor as missed.
    """

    name: str
    box: Box | Fault
    where: str
    difficult: bool = False


@dataclass(frozen=True, slots=True)
class AnnotatedImage:
    """One image and its objects.

    Attributes:
        file: the image's path.
        image_id: unique in the data set.
        width: in pixels.
        height: in pixels.
        objects: in the annotation's order.
    """

    file: Path
    image_id: int
    width: int
    height: int
    objects: Sequence[DrawnObject] = field(default=())


class AnnotatedDetection(DetectionDataset):
    """Images whose objects name their classes; labels follow `class_names`, from 1, and so do the category ids.

    Args:
        images: one for each image; read here.
        class_names: by label, from label 1; an object of another class is bad data.
        bad_data: holds the policy and what was found so far.
        options: see `DetectionDataset`.

    Raises:
        ValueError: no class, or one twice; objects, but none of them of these classes; and as `DetectionDataset`.
    """

    def __init__(
        self, images: Iterable[AnnotatedImage], class_names: Sequence[str], bad_data: BadData, **options: Any
    ) -> None:
        names = tuple(class_names)
        if not names or len(set(names)) < len(names):
            raise ValueError(f"class_names must be one at least, each once, got {names}")
        records = list(_records(images, names, bad_data))
        super().__init__(records, names, range(1, len(names) + 1), bad_data, **options)


def read_or_report(read: Callable[[Path], Read], file: Path, image_id: int, bad_data: BadData) -> Read | None:
    """What an image's annotation file says; None where there is no such file or it cannot be used, which is reported.

    Args:
        read: reads the file; raises ValueError where it cannot be used.
        file: the annotation file.
        image_id: of the image that it belongs to.
        bad_data: takes what is wrong.

    Raises:
        OSError: trouble of the system.
    """
    try:
        return read(file)
    except ValueError as error:
        fault = error.fault if isinstance(error, BadItemError) else Fault.UNREADABLE_ANNOTATION
        bad_data.report(fault, f"image {image_id}: {error}")
    except OSError as error:
        if not is_no_file(error):
            raise
        bad_data.report(Fault.MISSING_ANNOTATION, f"image {image_id}: {file}: no such file")
    return None


def _records(images: Iterable[AnnotatedImage], class_names: Sequence[str], bad_data: BadData) -> Iterator[ImageRecord]:
    """The images with their usable objects; everything else is reported."""
    labels = {name: label for label, name in enumerate(class_names, start=1)}
    unknown: Counter[str] = Counter()
    known = 0
    for image in images:
        rows: list[ObjectRow] = []
        for item in image.objects:
            if item.name not in labels:
                unknown[item.name] += 1
                bad_data.report(Fault.UNKNOWN_CATEGORY, f"{item.where}; allowed are {listed(labels)}")
                continue
            known += 1
            if isinstance(item.box, Fault):
                bad_data.report(item.box, item.where)
            else:
                x1, y1, x2, y2 = item.box
                rows.append((item.box, labels[item.name], (x2 - x1) * (y2 - y1), False, item.difficult))
        yield ImageRecord(str(image.file), image.image_id, image.width, image.height, pack_objects(rows))
    if unknown and not known:
        found = listed(f"{name} ({count})" for name, count in unknown.most_common())
        raise ValueError(
            f"{bad_data.source}: no object is of the classes {listed(labels)}; the annotations name {found}"
        )
