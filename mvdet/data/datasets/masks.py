"""Segmentation data in two folders: images, and masks of class numbers under the same names."""

from collections.abc import Sequence
from pathlib import Path

from mvdet.data.datasets.base import Size, TransformFactory
from mvdet.data.datasets.segmentation import MaskRecord, SegmentationDataset
from mvdet.data.io.faults import DEFAULT_POLICY, BadData, BadDataPolicy, Fault
from mvdet.data.io.images import IMAGE_SUFFIXES


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
            _records(image_folder, mask_folder, mask_suffix, bad_data),
            read_class_names(class_names) if isinstance(class_names, (str, Path)) else class_names,
            bad_data,
            train=train,
            transform=transform,
            size=size,
            seed=seed,
            check_files=check_files,
            mask_values=mask_values,
        )


def read_class_names(file: str | Path) -> tuple[str, ...]:
    """Class names by class number: one a line; blank lines do not count.

    Raises:
        FileNotFoundError: no such file.
    """
    lines = Path(file).expanduser().read_text(encoding="utf-8").splitlines()
    return tuple(line.strip() for line in lines if line.strip())


def _records(images: Path, masks: Path, mask_suffix: str, bad_data: BadData) -> list[MaskRecord]:
    """The images with the masks that they should have; what is there beside them is reported."""
    files = sorted(file for file in images.rglob("*") if file.suffix.lower() in IMAGE_SUFFIXES)
    records: dict[Path, MaskRecord] = {}
    for number, file in enumerate(files, start=1):
        mask = masks / file.parent.relative_to(images) / f"{file.stem}{mask_suffix}"
        if mask in records:
            bad_data.report(Fault.DUPLICATE_ID, f"{file}: {mask} is the mask of {records[mask].file} already")
        else:
            records[mask] = MaskRecord(str(file), str(mask), number)
    for mask in sorted(masks.rglob(f"*{mask_suffix}")):
        if mask not in records:
            bad_data.report(Fault.UNKNOWN_IMAGE, f"{mask}: no image in {images} is called like it")
    return list(records.values())
