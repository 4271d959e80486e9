"""PASCAL VOC detection data, and any set in VOC's layout, straight from disk."""

import logging
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

from mvdet.class_names import VOC_CLASSES, VOC_SEGMENTATION_CLASSES
from mvdet.data.datasets.annotated import AnnotatedDetection, AnnotatedImage, DrawnObject, read_or_report
from mvdet.data.datasets.base import Size, TransformFactory
from mvdet.data.datasets.masks import mask_records
from mvdet.data.datasets.segmentation import SegmentationDataset
from mvdet.data.formats.layout import Place
from mvdet.data.formats.pairs import left_over, numbered_pairs
from mvdet.data.io.faults import DEFAULT_POLICY, BadData, BadDataPolicy, BadItemError, Fault, Remark
from mvdet.data.io.images import image_size
from mvdet.data.io.listing import visible_files
from mvdet.data.io.voc import find_image_sets
from mvdet.data.io.voc_xml import VocAnnotation, VocObject, read_annotation
from mvdet.wording import listed

FOLDERS = ("JPEGImages", "Annotations", "ImageSets/Main")

logger = logging.getLogger(__name__)


class VocDetection(AnnotatedDetection):
    """A VOC folder: `JPEGImages`, `Annotations`, and the list `ImageSets/Main/{split}.txt`; or XML files elsewhere.

    Boxes become pixel edges from 0 (see `mvdet.data.io.voc_xml`, and `VocAnnotation.usable_box` for those that cannot
    be used). A size that a file does not say is the picture's. Objects marked `difficult` are left out of training
    targets, and count neither as found nor as missed in evaluation. VOC has no ids: images are numbered from 1 in the
    order of the lists. `area` is the box's.

    Args:
        root: a folder with `JPEGImages`, `Annotations` and `ImageSets/Main`; with `image_sets`, one that holds such
            folders itself or in `VOCdevkit`.
        split: the list in `ImageSets/Main`.
        image_sets: instead of `split`, several lists as one set: `[("VOC2007", "trainval"), ("VOC2012", "trainval")]`.
        places: instead of both, where images and XML files lie, as `mvdet.data.recognition.recognise` finds it.
        class_names: by label, from label 1. None takes the classes that the annotations name, sorted; all files in
            `Annotations` are read for that, so that every split gets the same list. An object of another class is bad
            data.
        train, transform, size, seed, check_files: see `DetectionDataset`.
        on_bad_data: what happens to bad items, see `mvdet.data.io.faults`.

    Raises:
        FileNotFoundError: no such folder or list.
        ValueError: a list is malformed, under either policy; not one of `split`, `image_sets` and `places`; objects,
            but none of the classes; bad items under "error"; nothing usable.
    """

    def __init__(
        self,
        root: str | Path,
        split: str | None = None,
        *,
        image_sets: Sequence[tuple[str, str]] | None = None,
        places: Sequence[Place] | None = None,
        class_names: Sequence[str] | None = VOC_CLASSES,
        train: bool,
        on_bad_data: BadDataPolicy = DEFAULT_POLICY,
        transform: TransformFactory | None = None,
        size: Size = (320, 320),
        seed: int | None = None,
        check_files: bool = True,
    ) -> None:
        if places is None:
            places = _places(root, split, image_sets, FOLDERS)
        elif split is not None or image_sets is not None:
            raise ValueError(f"places go with neither split nor image_sets, got {split!r} and {image_sets!r}")
        bad_data = BadData(listed(dict.fromkeys(str(place.images.parent) for place in places)), on_bad_data)
        names = voc_classes(places) if class_names is None else class_names
        super().__init__(
            _images(places, bad_data),
            names,
            bad_data,
            train=train,
            transform=transform,
            size=size,
            seed=seed,
            check_files=check_files,
        )


def voc_classes(places: Iterable[Place]) -> tuple[str, ...]:
    """Every class that an annotation file of the places names, sorted.

    Raises:
        ValueError: there is no object.
    """
    folders = dict.fromkeys(place.annotations for place in places if place.annotations is not None)
    files = [file for folder in folders for file in visible_files(folder, [".xml"])]
    names = tuple(sorted({item.name for file in files for item in _objects(file)}))
    if not names:
        raise ValueError(f"no class to take from {listed(map(str, folders))}: no object in {len(files)} annotations")
    logger.info("took the classes from %d annotation files: %s", len(files), ", ".join(names))
    return names


def _objects(file: Path) -> tuple[VocObject, ...]:
    """The objects of a file; none where it cannot be read, which is reported where an image needs it."""
    try:
        return read_annotation(file).objects
    except BadItemError:
        return ()


def _places(
    root: str | Path, split: str | None, image_sets: Sequence[tuple[str, str]] | None, folders: Sequence[str]
) -> list[Place]:
    """Where the images of lists lie; `folders` are those of images, annotations and lists."""
    images, annotations, _ = folders
    sets = find_image_sets(root, split, image_sets, folders)
    return [Place(one.folder / images, one.folder / annotations, one.file) for one in sets]


def _images(places: Sequence[Place], bad_data: BadData) -> Iterator[AnnotatedImage]:
    """The images of all places; what cannot be used is reported, and files without an image."""
    used = set()
    for image_id, image, file in numbered_pairs(places, bad_data, ".xml"):
        used.add(file)
        annotation = read_or_report(partial(_read, image, bad_data), file, image_id, bad_data)
        if annotation is None:
            continue
        for fault, what in annotation.faults:
            bad_data.report(fault, what)
        for remark, what in annotation.remarks:
            bad_data.remark(remark, what)
        objects = [
            DrawnObject(
                item.name,
                annotation.usable_box(item),
                f"{file}: object {item.number} ({item.name}), box {', '.join(f'{value:g}' for value in item.box)}",
                item.difficult,
            )
            for item in annotation.objects
        ]
        yield AnnotatedImage(image, image_id, annotation.width, annotation.height, objects)
    for file in left_over(places, used, ".xml"):
        bad_data.report(Fault.UNKNOWN_IMAGE, f"{file}: no image of this name")


def _read(image: Path, bad_data: BadData, file: Path) -> VocAnnotation:
    """An annotation, with its image's own size where it has none; raises BadItemError."""
    annotation = read_annotation(file)
    if annotation.width and annotation.height:
        return annotation
    width, height = image_size(image)
    bad_data.remark(Remark.UNSAID_SIZE, f"{file}: {width} x {height}")
    return replace(annotation, width=width, height=height)


class VocSegmentation(SegmentationDataset):
    """A VOC folder: `JPEGImages`, `SegmentationClass`, and the list `ImageSets/Segmentation/{split}.txt`.

    Masks are PNG files called like their images; 255 marks the borders around objects, which do not count. Images are
    numbered from 1 in the order of the lists.

    Args:
        root: a folder with these three; with `image_sets`, one that holds such folders itself or in `VOCdevkit`.
        split: the list in `ImageSets/Segmentation`.
        image_sets: instead of `split`, several lists as one set: `[("VOC2007", "trainval"), ("VOC2012", "trainval")]`.
        class_names: by class number; for the `shapes` set, "background" and `mvdet.data.shapes.dataset.CLASSES`.
        masks: the folder of the masks; "SegmentationClassAug" for SBD's (list "trainaug").
        train, transform, size, seed, check_files, mask_values: see `SegmentationDataset`.
        on_bad_data: what happens to bad items, see `mvdet.data.io.faults`.

    Raises:
        FileNotFoundError: no such folder or list.
        ValueError: a list is malformed, under either policy; neither or both of `split` and `image_sets`; bad items
            under "error"; nothing usable.
    """

    def __init__(
        self,
        root: str | Path,
        split: str | None = None,
        *,
        image_sets: Sequence[tuple[str, str]] | None = None,
        class_names: Sequence[str] = VOC_SEGMENTATION_CLASSES,
        masks: str = "SegmentationClass",
        train: bool,
        on_bad_data: BadDataPolicy = DEFAULT_POLICY,
        transform: TransformFactory | None = None,
        size: Size = (512, 512),
        seed: int | None = None,
        check_files: bool = True,
        mask_values: Sequence[int] | None = None,
    ) -> None:
        places = _places(root, split, image_sets, ("JPEGImages", masks, "ImageSets/Segmentation"))
        bad_data = BadData(listed(dict.fromkeys(str(place.images.parent) for place in places)), on_bad_data)
        super().__init__(
            mask_records(places, bad_data, ".png"),
            class_names,
            bad_data,
            train=train,
            transform=transform,
            size=size,
            seed=seed,
            check_files=check_files,
            mask_values=mask_values,
        )
