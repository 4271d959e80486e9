"""YOLO's detection data, straight from the files that `yolo train` takes."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from mvdet.data.datasets.annotated import AnnotatedDetection, AnnotatedImage, DrawnObject, read_or_report
from mvdet.data.formats.layout import Place
from mvdet.data.formats.listing import images_below
from mvdet.data.formats.pairs import left_over, paired_files
from mvdet.data.formats.yolo import is_label
from mvdet.data.io.boxes import Box, box_fault, clip_box
from mvdet.data.io.faults import DEFAULT_POLICY, BadData, BadDataPolicy, Fault, Remark
from mvdet.data.io.images import BadImageError, image_size
from mvdet.data.io.listing import is_file
from mvdet.data.io.text import read_text
from mvdet.data.io.yolo import LabelRow, label_file, read_labels


class YoloDetection(AnnotatedDetection):
    """Images with a text file each, whose rows are boxes or polygons; the box of a polygon is taken.

    An image whose label file is empty or missing shows no object; the latter is remarked on. Rows that cannot be read
    are bad data, and so are label files without an image in the folders of labels. Images are
    numbered from 1, folder by folder and list by list. `area` is the box's.

    Args:
        places: folders of images or lists of their paths, as `mvdet.data.recognition.recognise` finds them.
        class_names: by the class number in the label files.
        on_bad_data: what happens to bad items, see `mvdet.data.io.faults`.
        options: see `DetectionDataset`.

    Raises:
        FileNotFoundError: no such list.
        ValueError: bad items under "error"; nothing usable.
    """

    def __init__(
        self,
        places: Sequence[Place],
        class_names: Sequence[str],
        *,
        on_bad_data: BadDataPolicy = DEFAULT_POLICY,
        **options: Any,
    ) -> None:
        bad_data = BadData(", ".join(str(place.names or place.images) for place in places), on_bad_data)
        super().__init__(_images(places, tuple(class_names), bad_data), class_names, bad_data, **options)


def _images(places: Sequence[Place], names: tuple[str, ...], bad_data: BadData) -> Iterator[AnnotatedImage]:
    seen: set[Path] = set()
    used: set[Path] = set()
    for image_id, (image, labels) in enumerate(_files(places), start=1):
        if image in seen:
            bad_data.report(Fault.DUPLICATE_ID, f"image {image_id}: {image}: is listed twice")
            continue
        seen.add(image)
        used.add(labels)
        try:
            width, height = image_size(image)
        except BadImageError as error:
            bad_data.report(error.fault, f"image {image_id}: {error}")
            continue
        rows: list[LabelRow] | None = []
        if is_file(labels):
            rows = read_or_report(read_labels, labels, image_id, bad_data)
        else:
            bad_data.remark(Remark.NO_LABELS, f"{image}: no {labels}")
        if rows is None:
            continue
        objects = []
        for row in rows:
            if isinstance(row.box, str):
                bad_data.report(Fault.BAD_ROW, f"{labels}: row {row.number}: {row.box}")
            else:
                objects.append(_object(row, row.box, labels, names, width, height))
        yield AnnotatedImage(image, image_id, width, height, objects)
    for file in _left_over(places, used):
        bad_data.report(Fault.UNKNOWN_IMAGE, f"{file}: no image of this name")


def _object(row: LabelRow, shares: Box, labels: Path, names: tuple[str, ...], width: int, height: int) -> DrawnObject:
    x1, y1, x2, y2 = shares
    box = x1 * width, y1 * height, x2 * width, y2 * height
    name = names[row.label] if row.label < len(names) else f"class number {row.label}"
    shown = ", ".join(f"{value:g}" for value in shares)
    where = f"{labels}: row {row.number} ({name}), box {shown}"
    return DrawnObject(name, box_fault(box, width, height) or clip_box(box, width, height), where)


def _files(places: Sequence[Place]) -> Iterator[tuple[Path, Path]]:
    """Each image with its label file."""
    for place in places:
        if place.names is not None:
            for image in _listed(place.names, place.images):
                yield image, label_file(image)
        elif place.annotations is not None:
            yield from paired_files([place], ".txt")
        else:
            for image in images_below(place.images):
                yield image, label_file(image)


def _left_over(places: Sequence[Place], used: set[Path]) -> list[Path]:
    """The label files with rows, in the folders of labels, that no image has."""
    of_folders = [
        replace(place, annotations=place.annotations or label_file(place.images / "any").parent)
        for place in places
        if place.names is None
    ]
    return [file for file in left_over(of_folders, used, ".txt") if is_label(file)]


def _listed(file: Path, base: Path) -> Iterator[Path]:
    """The images that a list names: as they stand, relative to the list, or to the data set's folder."""
    for line in read_text(file).splitlines():
        if name := line.strip().replace("\\", "/"):
            ways = [way for way in (Path(name), file.parent / name, base / name) if is_file(way)]
            yield (ways[0] if ways else file.parent / name).absolute()
