"""Detection data from labelme and the VGG Image Annotator (VIA): drawn shapes, taken as the boxes around them."""

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from mvdet.data.datasets.annotated import AnnotatedDetection, AnnotatedImage, DrawnObject, read_or_report
from mvdet.data.formats.image_names import ImageNames
from mvdet.data.formats.layout import Place
from mvdet.data.formats.pairs import left_over, numbered_pairs
from mvdet.data.io.boxes import box_fault, clip_box
from mvdet.data.io.coco_json import read_json
from mvdet.data.io.drawn import ShapesOfImage, read_labelme, read_via
from mvdet.data.io.faults import DEFAULT_POLICY, BadData, BadDataPolicy, Fault, Remark
from mvdet.data.io.images import BadImageError, image_size

Drawn = tuple[int, Path, Path, ShapesOfImage]
"""The number of an image, the image, the file that its shapes are from, and these."""


class DrawnDetection(AnnotatedDetection):
    """Images with shapes of labelme's or VIA's; `area` is that of the box around a shape.

    Images are numbered from 1 in the order of the files. An image without a file of labelme's is bad data.

    Args:
        places: where images and json files lie, as `mvdet.data.recognition.recognise` finds it.
        data_format: "labelme" or "via".
        class_names: by label, from label 1; None takes those that the shapes name, sorted.
        on_bad_data: what happens to bad items, see `mvdet.data.io.faults`.
        options: see `DetectionDataset`.

    Raises:
        ValueError: a VIA file cannot be read; objects, but none of the classes; bad items under "error"; nothing
            usable.
    """

    def __init__(
        self,
        places: Sequence[Place],
        data_format: str,
        class_names: Sequence[str] | None = None,
        *,
        on_bad_data: BadDataPolicy = DEFAULT_POLICY,
        **options: Any,
    ) -> None:
        bad_data = BadData(", ".join(str(place.annotations) for place in places), on_bad_data)
        names = drawn_classes(places, data_format) if class_names is None else class_names
        super().__init__(_images(places, data_format, bad_data), names, bad_data, **options)


def drawn_classes(places: Sequence[Place], data_format: str) -> tuple[str, ...]:
    """Every class that the shapes of the places name, sorted.

    Raises:
        ValueError: there is no shape; names the files.
    """
    silent = BadData("", "skip")
    shapes = (shape for _, _, _, drawn in _READERS[data_format](places, silent) for shape in drawn.shapes)
    names = tuple(sorted({shape.name for shape in shapes if shape.name}))
    if not names:
        sources = ", ".join(str(place.annotations) for place in places)
        raise ValueError(f"no class to take from {sources}: no shape in any {data_format} file")
    return names


def _images(places: Sequence[Place], data_format: str, bad_data: BadData) -> Iterator[AnnotatedImage]:
    for image_id, image, source, drawn in _READERS[data_format](places, bad_data):
        try:
            width, height = drawn.size or image_size(image)
        except BadImageError as error:
            bad_data.report(error.fault, f"image {image_id}: {error}")
            continue
        if drawn.size is None and data_format == "labelme":  # VIA never has sizes
            bad_data.remark(Remark.UNSAID_SIZE, f"{source}: {width} x {height}")
        objects = []
        for shape in drawn.shapes:
            where = f"{source}: {drawn.name}: shape {shape.number} ({shape.name})"
            if isinstance(shape.box, str):
                bad_data.report(Fault.NOT_A_BOX, f"{where}: {shape.box}")
                continue
            box = box_fault(shape.box, width, height) or clip_box(shape.box, width, height)
            shown = ", ".join(f"{value:g}" for value in shape.box)
            objects.append(DrawnObject(shape.name, box, f"{where}, box {shown}"))
        yield AnnotatedImage(image, image_id, width, height, objects)


def _labelme(places: Sequence[Place], bad_data: BadData) -> Iterator[Drawn]:
    used = set()
    for image_id, image, file in numbered_pairs(places, bad_data, ".json"):
        used.add(file)
        drawn = read_or_report(lambda file: read_labelme(read_json(file), file), file, image_id, bad_data)
        if drawn is not None:
            yield image_id, image, file, drawn._replace(name=image.name)
    for file in left_over(places, used, ".json"):
        bad_data.report(Fault.UNKNOWN_IMAGE, f"{file}: no image of this name")


def _via(places: Sequence[Place], bad_data: BadData) -> Iterator[Drawn]:
    image_id = 0
    seen: set[Path] = set()
    for place in places:
        assert place.annotations is not None
        names = ImageNames(place.images)
        for drawn in read_via(read_json(place.annotations), place.annotations, bad_data):
            image_id += 1
            image = names.find(drawn.name) or place.images / drawn.name
            if image in seen:
                bad_data.report(
                    Fault.DUPLICATE_ID, f"image {image_id}: {place.annotations}: {drawn.name} is there twice"
                )
                continue
            seen.add(image)
            yield image_id, image, place.annotations, drawn


_READERS: dict[str, Callable[[Sequence[Place], BadData], Iterator[Drawn]]] = {"labelme": _labelme, "via": _via}
