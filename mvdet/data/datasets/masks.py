"""Segmentation data in two folders: images, and masks of class numbers under the same names."""

from collections.abc import Sequence
from pathlib import Path

from mvdet.data.datasets.base import Size, TransformFactory
from mvdet.data.datasets.segmentation import MaskRecord, SegmentationDataset
from mvdet.data.formats.layout import Place
from mvdet.data.formats.masks import read_class_names
from mvdet.data.formats.pairs import left_over, numbered_pairs
from mvdet.data.io.faults import DEFAULT_POLICY, BadData, BadDataPolicy, Fault


class FolderSegmentation(SegmentationDataset):
    """Images and masks that lie alike in two folders: `images/any/NAME.jpg` belongs to `masks/any/NAME.png`.

    Images are numbered from 1 in alphabetical order. An image without a mask is bad data, and so are a mask without an
    image and a second image of the same name (`NAME.jpg`, `NAME.png`).

    Args:
        images: the folder of the images, at any depth.
        masks: the folder of the masks, see `mvdet.data.io.masks.read_mask`.
        class_names: by class number, or a text file with one name a line.
        mask_suffix: what follows an image's name in its mask's: "_mask.png" for `NAME_mask.png`.
        train, transform, size, seed, check_files, mask_values: see `SegmentationDataset`.
        on_bad_data: what happens to bad items, see `mvdet.data.io.faults`.

    Raises:
        FileNotFoundError: no such folder, or no such file of names.
        ValueError: `mask_suffix` does not end in .png; bad items under "error"; nothing usable.
    """

    def __init__(
        self,
        images: str | Path,
        masks: str | Path,
        class_names: Sequence[str] | Path,
        *,
        mask_suffix: str = ".png",
        train: bool,
        on_bad_data: BadDataPolicy = DEFAULT_POLICY,
        transform: TransformFactory | None = None,
        size: Size = (512, 512),
        seed: int | None = None,
        check_files: bool = True,
        mask_values: Sequence[int] | None = None,
    ) -> None:
        if not mask_suffix.endswith(".png"):
            raise ValueError(f"mask_suffix must end in .png, got {mask_suffix!r}")
        image_folder, mask_folder = Path(images).expanduser(), Path(masks).expanduser()
        for folder, kind in ((image_folder, "images"), (mask_folder, "masks")):
            if not folder.is_dir():
                raise FileNotFoundError(f"{folder} is not a folder; the {kind} were expected in it")
        bad_data = BadData(image_folder, on_bad_data)
        super().__init__(
            mask_records([Place(image_folder, mask_folder, suffix=mask_suffix)], bad_data),
            read_class_names(class_names) if isinstance(class_names, (str, Path)) else class_names,
            bad_data,
            train=train,
            transform=transform,
            size=size,
            seed=seed,
            check_files=check_files,
            mask_values=mask_values,
        )


def mask_records(places: Sequence[Place], bad_data: BadData, suffix: str | None = None) -> list[MaskRecord]:
    """The images of places with the masks that they should have, numbered from 1; what is left over is reported.

    Args:
        places: where images and masks lie.
        bad_data: second images of the same mask, and masks without an image, are reported here.
        suffix: what follows an image's name in its mask's; None takes the places' own.

    Raises:
        FileNotFoundError: no such list of images.
        ValueError: a list of images is malformed.
    """
    records = [
        MaskRecord(str(file), str(mask), number) for number, file, mask in numbered_pairs(places, bad_data, suffix)
    ]
    for mask in left_over(places, {Path(record.mask_file) for record in records}, suffix):
        bad_data.report(Fault.UNKNOWN_IMAGE, f"{mask}: no image in {places[0].images} is called like it")
    return records
