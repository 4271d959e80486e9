"""PASCAL VOC detection data, and any set in VOC's layout, straight from disk."""

import logging
from collections.abc import Iterator, Sequence
from pathlib import Path

from mvdet.class_names import VOC_CLASSES, VOC_SEGMENTATION_CLASSES
from mvdet.data.datasets.base import Size, TransformFactory
from mvdet.data.datasets.detection import DetectionDataset
from mvdet.data.datasets.records import ImageRecord, ObjectRow, pack_objects
from mvdet.data.datasets.segmentation import MaskRecord, SegmentationDataset
from mvdet.data.io.faults import DEFAULT_POLICY, BadData, BadDataPolicy, Fault
from mvdet.data.io.voc import ImageSet, find_image_sets, image_files, read_annotation

FOLDERS = ("JPEGImages", "Annotations", "ImageSets/Main")

logger = logging.getLogger(__name__)


class VocDetection(DetectionDataset):
    """A VOC folder: `JPEGImages`, `Annotations`, and the list `ImageSets/Main/{split}.txt`.

    Boxes become pixel edges from 0 (see `mvdet.data.io.voc`, and `VocAnnotation.usable_box` for those that cannot be
    used). Objects marked `difficult` are left out of training targets, and count neither as found nor as missed in
    evaluation. VOC has no ids: images are numbered from 1 in the order of the lists. `area` is the box's.

    Args:
        root: a folder with `JPEGImages`, `Annotations` and `ImageSets/Main`; with `image_sets`, one that holds such
            folders itself or in `VOCdevkit`.
        split: the list in `ImageSets/Main`.
        image_sets: instead of `split`, several lists as one set: `[("VOC2007", "trainval"), ("VOC2012", "trainval")]`.
        class_names: by label, from label 1. None takes the classes that the annotations name, sorted; all files in
            `Annotations` are read for that, so that every split gets the same list. An object of another class is bad
            data.
        train, transform, size, seed, check_files: see `DetectionDataset`.
        on_bad_data: what happens to bad items, see `mvdet.data.io.faults`. An annotation file that is there but cannot
            be read as VOC, as one with a coordinate that is no finite number, is an error under either policy.

    Raises:
        FileNotFoundError: no such folder or list.
        ValueError: an annotation file or a list is malformed, under either policy; neither or both of `split` and
            `image_sets`; bad items under "error"; nothing usable.
    """

    def __init__(
        self,
        root: str | Path,
        split: str | None = None,
        *,
        image_sets: Sequence[tuple[str, str]] | None = None,
        class_names: Sequence[str] | None = VOC_CLASSES,
        train: bool,
        on_bad_data: BadDataPolicy = DEFAULT_POLICY,
        transform: TransformFactory | None = None,
        size: Size = (320, 320),
        seed: int | None = None,
        check_files: bool = True,
    ) -> None:
        sets = find_image_sets(root, split, image_sets, FOLDERS)
        names = tuple(class_names) if class_names is not None else _classes_found([folder for folder, _ in sets])
        if not names or len(set(names)) < len(names):
            raise ValueError(f"class_names must be one at least, each once, got {names}")
        bad_data = BadData(", ".join(str(folder) for folder, _ in sets), on_bad_data)
        super().__init__(
            _records(sets, names, bad_data),
            names,
            range(1, len(names) + 1),
            bad_data,
            train=train,
            transform=transform,
            size=size,
            seed=seed,
            check_files=check_files,
        )


def _classes_found(folders: Sequence[Path]) -> tuple[str, ...]:
    """Every class that an annotation file of the folders names, sorted."""
    files = [file for folder in dict.fromkeys(folders) for file in sorted((folder / "Annotations").glob("*.xml"))]
    names = tuple(sorted({item.name for file in files for item in read_annotation(file).objects}))
    if not names:
        raise ValueError(f"no class to take from {', '.join(map(str, folders))}: no object in {len(files)} annotations")
    logger.info("took the classes from %d annotation files: %s", len(files), ", ".join(names))
    return names


def _records(sets: Sequence[ImageSet], class_names: Sequence[str], bad_data: BadData) -> Iterator[ImageRecord]:
    """The images of all lists with their usable objects; everything else is reported."""
    labels = {name: label for label, name in enumerate(class_names, start=1)}
    image_id = 0
    for folder, names in sets:
        files = image_files(folder / "JPEGImages")
        for name in names:
            image_id += 1
            annotation_file = folder / "Annotations" / f"{name}.xml"
            if not annotation_file.is_file():
                bad_data.report(Fault.MISSING_ANNOTATION, f"image {image_id}: {annotation_file}: no such file")
                continue
            annotation = read_annotation(annotation_file)
            rows: list[ObjectRow] = []
            for number, item in enumerate(annotation.objects, start=1):
                box = annotation.usable_box(item) if item.name in labels else Fault.UNKNOWN_CATEGORY
                if isinstance(box, Fault):
                    box_text = ", ".join(f"{value:g}" for value in item.box)
                    allowed = f"; allowed are {', '.join(labels)}" if box is Fault.UNKNOWN_CATEGORY else ""
                    bad_data.report(box, f"{annotation_file}: object {number} ({item.name}), box {box_text}{allowed}")
                else:
                    x1, y1, x2, y2 = box
                    rows.append((box, labels[item.name], (x2 - x1) * (y2 - y1), False, item.difficult))
            file = files.get(name, f"{name}.jpg")
            yield ImageRecord(
                str(folder / "JPEGImages" / file), image_id, annotation.width, annotation.height, pack_objects(rows)
            )


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
        sets = find_image_sets(root, split, image_sets, ("JPEGImages", masks, "ImageSets/Segmentation"))
        super().__init__(
            _mask_records(sets, masks),
            class_names,
            BadData(", ".join(str(folder) for folder, _ in sets), on_bad_data),
            train=train,
            transform=transform,
            size=size,
            seed=seed,
            check_files=check_files,
            mask_values=mask_values,
        )


def _mask_records(sets: Sequence[ImageSet], masks: str) -> Iterator[MaskRecord]:
    image_id = 0
    for folder, names in sets:
        files = image_files(folder / "JPEGImages")
        for name in names:
            image_id += 1
            file = folder / "JPEGImages" / files.get(name, f"{name}.jpg")
            yield MaskRecord(str(file), str(folder / masks / f"{name}.png"), image_id)
