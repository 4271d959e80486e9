"""What every segmentation data set gives: images and masks of class numbers."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from mvdet.data.datasets.base import RecordDataset, Sample, Size, Transform, TransformFactory, with_good_files
from mvdet.data.io.faults import BadData, Fault
from mvdet.data.io.images import BadImageError, check_header, read_image
from mvdet.data.io.masks import IGNORE_INDEX, check_mask_values, read_mask

Pair = tuple[NDArray[np.uint8], NDArray[np.uint8]]


@dataclass(frozen=True, slots=True)
class MaskRecord:
    """One image and its mask.

    Attributes:
        file: path of the image.
        mask_file: path of the mask.
        image_id: unique in the data set.
    """

    file: str
    mask_file: str
    image_id: int


class SegmentationDataset(RecordDataset[MaskRecord, Pair, Transform]):
    """Images with a class number for every pixel.

    `dataset[index]` gives an image at the default size, `dataset[height, width, index]` one at that size, which is what
    a multi-scale sampler asks for. A sample is `(image, target)`: image [3, H, W] uint8 RGB, contiguous, and target:

    - `mask` int64 [H, W]: `class_names[number]`, or 255 where a pixel does not count;
    - `image_id` int64 []: the image's id;
    - `orig_size` int64 [2]: height and width of the stored image.

    With `train`, image and mask go through the transform together. Without it the image alone does: the mask is the
    stored one, of `orig_size`, because that is what an evaluation counts.

    Random transforms, epochs and files that turn out broken are dealt with as in `DetectionDataset`; to batch samples,
    take `mvdet.data.datasets.detection.collate`.

    Args:
        records: one for each image.
        class_names: by class number, the background among them where there is one.
        bad_data: holds the policy and what was found so far; its `finish()` is called here.
        train: whether the targets are for training.
        transform: builds the transform for a size, as those of `mvdet.data.transforms.segmentation`; None returns
            stored images as they are.
        size: `(height, width)` of the images that an index alone gives.
        seed: of the transforms, 0 or more; None takes torch's generator.
        check_files: look at every image file and read every mask now. Without it, missing and broken ones are met when
            they are read.
        mask_values: what the masks hold in place of class numbers, as `mvdet.data.io.masks.read_mask` takes it.

    Attributes:
        class_names, records, bad_data, train, transform, size, mask_values: as above.

    Raises:
        ValueError: bad data under the policy "error"; no usable image; no class or more than 255, or one twice; sizes
            or seeds out of range; `mask_values` that are no numbers of the classes.
    """

    def __init__(
        self,
        records: Iterable[MaskRecord],
        class_names: Sequence[str],
        bad_data: BadData,
        *,
        train: bool,
        transform: TransformFactory | None = None,
        size: Size = (512, 512),
        seed: int | None = None,
        check_files: bool = True,
        mask_values: Sequence[int] | None = None,
    ) -> None:
        names = tuple(class_names)
        if not 1 <= len(names) <= IGNORE_INDEX or len(set(names)) < len(names):
            raise ValueError(f"class_names must be 1 to {IGNORE_INDEX}, each once, got {len(names)}: {names}")
        if mask_values is not None:
            check_mask_values(mask_values, len(names))
        super().__init__(bad_data, train=train, transform=transform, size=size, seed=seed)
        self.class_names = names
        self.mask_values = None if mask_values is None else tuple(mask_values)
        records = list(records)
        # by image id: the numbers in its mask, and how often they occur
        self._counts: dict[int, tuple[NDArray[np.int64], NDArray[np.int64]]] = {}
        self._use(with_good_files(records, self._check, bad_data) if check_files else records)

    def __getitem__(self, item: int | tuple[int, int, int]) -> Sample:
        """A sample; see the class.

        Raises:
            IndexError: no such index.
            ValueError: image or mask cannot be used and nothing may take its place, or a size was asked for without a
                transform to give it.
        """
        size, index = self._size_and_index(item)
        record, (image, mask) = self._read(index)
        orig_size = mask.shape
        if self.transform is not None:
            result = self._transformed(size, index, image=image, **({"mask": mask} if self.train else {}))
            image, mask = result["image"], result.get("mask", mask)
        target = {
            "mask": torch.from_numpy(mask.astype(np.int64)),
            "image_id": torch.tensor(record.image_id, dtype=torch.int64),
            "orig_size": torch.tensor(orig_size, dtype=torch.int64),
        }
        return torch.from_numpy(np.ascontiguousarray(image.transpose(2, 0, 1))), target  # [H, W, 3] -> [3, H, W]

    def read_mask(self, record: MaskRecord) -> NDArray[np.uint8]:
        """The class numbers [H, W] of a record's mask; raises as `mvdet.data.io.masks.read_mask`."""
        return read_mask(record.mask_file, len(self.class_names), self.mask_values)

    def count_pixels(self) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """How often each class number occurs, and 255, and in how many masks, both int64 [256].

        They were counted when the files were checked; without `check_files`, all masks are read the first time.

        Raises:
            ValueError: a mask that was not checked before cannot be used.
        """
        unusable = BadData(self.bad_data.source, "error")
        with_good_files([one for one in self.records if one.image_id not in self._counts], self._check, unusable)
        unusable.finish()
        pixels, masks_with = np.zeros((2, 256), dtype=np.int64)
        for record in self.records:
            numbers, counts = self._counts[record.image_id]
            pixels[numbers] += counts
            masks_with[numbers] += 1
        return pixels, masks_with

    def _load(self, record: MaskRecord) -> Pair:
        mask = self.read_mask(record)
        image = read_image(record.file, (mask.shape[1], mask.shape[0]))
        if image.shape[:2] != mask.shape:
            sizes = [f"{pixels.shape[1]} x {pixels.shape[0]}" for pixels in (mask, image)]
            raise BadImageError(
                Fault.OTHER_MASK_SIZE,
                f"{record.mask_file}: has {sizes[0]} pixels, its image {record.file} {sizes[1]}",
            )
        return image, mask

    def _check(self, record: MaskRecord) -> str | None:
        """Raises what `_load` would, but for what only decoding the image can show; the image if it is doubtful.

        What the mask holds is counted, since it is read anyway.
        """
        mask = self.read_mask(record)
        counts = np.bincount(mask.ravel())
        numbers = np.flatnonzero(counts)
        self._counts[record.image_id] = numbers, counts[numbers]
        height, width = mask.shape
        try:
            return record.file if check_header(record.file, (width, height)) else None
        except BadImageError as error:
            if error.fault is Fault.OTHER_SIZE:
                self._load(record)  # which names both files
            raise
