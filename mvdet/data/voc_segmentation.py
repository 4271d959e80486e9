"""PASCAL VOC segmentation data, and any set in VOC's layout, straight from disk."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from mvdet.data.bad_data import DEFAULT_POLICY, BadData, BadDataPolicy
from mvdet.data.record_dataset import Size, TransformFactory
from mvdet.data.segmentation import MaskRecord, SegmentationDataset
from mvdet.data.voc_detection import VOC_CLASSES
from mvdet.data.voc_folder import ImageSet, find_image_sets, image_files

VOC_SEGMENTATION_CLASSES = ("background", *VOC_CLASSES)
"""By class number."""


class VocSegmentation(SegmentationDataset):
    """A VOC folder: `JPEGImages`, `SegmentationClass`, and the list `ImageSets/Segmentation/{split}.txt`.

    Masks are PNG files called like their images; 255 marks the borders around objects, which do not count. Images are
    numbered from 1 in the order of the lists.

    Args:
        root: a folder with these three; with `image_sets`, one that holds such folders itself or in `VOCdevkit`.
        split: the list in `ImageSets/Segmentation`.
        image_sets: instead of `split`, several lists as one set: `[("VOC2007", "trainval"), ("VOC2012", "trainval")]`.
        class_names: by class number; for the `shapes` set, "background" and `mvdet.data.shapes.CLASSES`.
        masks: the folder of the masks; "SegmentationClassAug" for SBD's (list "trainaug").
        train, transform, size, seed, check_files: see `SegmentationDataset`.
        on_bad_data: what happens to bad items, see `mvdet.data.bad_data`.

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
    ) -> None:
        sets = find_image_sets(root, split, image_sets, ("JPEGImages", masks, "ImageSets/Segmentation"))
        super().__init__(
            _records(sets, masks),
            class_names,
            BadData(", ".join(str(folder) for folder, _ in sets), on_bad_data),
            train=train,
            transform=transform,
            size=size,
            seed=seed,
            check_files=check_files,
        )


def _records(sets: Sequence[ImageSet], masks: str) -> Iterator[MaskRecord]:
    image_id = 0
    for folder, names in sets:
        files = image_files(folder / "JPEGImages")
        for name in names:
            image_id += 1
            file = folder / "JPEGImages" / files.get(name, f"{name}.jpg")
            yield MaskRecord(str(file), str(folder / masks / f"{name}.png"), image_id)
