"""The annotations of a detection data set in memory: one record an image, all of them packed into a few arrays."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import overload

import numpy as np
from numpy.typing import NDArray

from mvdet.data.io.boxes import Box

OBJECT_DTYPE = np.dtype(
    [
        ("box", np.float32, 4),
        ("label", np.int64),
        ("area", np.float32),
        ("iscrowd", np.bool_),
        ("ignore", np.bool_),
    ],
    align=True,  # torch takes no views of other strides
)
"""One object: box xyxy in pixels of the image as annotated, inside it; label from 1; area in square pixels; `iscrowd` a
COCO crowd; `ignore` an object that counts neither as found nor as missed (VOC's difficult)."""

ObjectRow = tuple[Box, int, float, bool, bool]
"""One object as a row for `pack_objects`, in the order of `OBJECT_DTYPE`."""


def pack_objects(rows: Sequence[ObjectRow]) -> NDArray[np.void]:
    """The rows as one array [n] of `OBJECT_DTYPE`; n may be 0."""
    return np.array(list(rows), dtype=OBJECT_DTYPE)


@dataclass(frozen=True, slots=True, eq=False)
class ImageRecord:
    """One image and its objects.

    Attributes:
        file: path of the image.
        image_id: unique in the data set.
        width: in pixels, as annotated.
        height: in pixels, as annotated.
        objects: [n] of `OBJECT_DTYPE`.
    """

    file: str
    image_id: int
    width: int
    height: int
    objects: NDArray[np.void]


class Records(Sequence[ImageRecord]):
    """Image records, packed.

    A list of records would be copied page by page into every forked worker, because reading a Python object writes its
    reference count (https://github.com/pytorch/pytorch/issues/13246); arrays are shared for good.
    """

    def __init__(self, records: Iterable[ImageRecord]) -> None:
        records = list(records)
        self._files = [record.file for record in records]
        self._heads = np.array(
            [(record.image_id, record.width, record.height) for record in records], dtype=np.int64
        ).reshape(-1, 3)
        self._ends = np.cumsum([len(record.objects) for record in records], dtype=np.int64)
        self._objects = np.concatenate([np.empty(0, OBJECT_DTYPE), *(record.objects for record in records)])
        self._objects.flags.writeable = False  # records hand out views

    def __len__(self) -> int:
        return len(self._files)

    @overload
    def __getitem__(self, index: int) -> ImageRecord: ...
    @overload
    def __getitem__(self, index: slice) -> list[ImageRecord]: ...
    def __getitem__(self, index: int | slice) -> ImageRecord | list[ImageRecord]:
        if isinstance(index, slice):
            return [self[position] for position in range(*index.indices(len(self)))]
        if not -len(self) <= index < len(self):
            raise IndexError(f"record {index} of {len(self)}")
        index %= len(self)
        image_id, width, height = self._heads[index].tolist()
        start = int(self._ends[index - 1]) if index else 0
        return ImageRecord(self._files[index], image_id, width, height, self._objects[start : int(self._ends[index])])

    @property
    def image_ids(self) -> NDArray[np.int64]:
        """The images' ids in the order of the records, int64 [number of images]."""
        return self._heads[:, 0]

    @property
    def image_sizes(self) -> NDArray[np.int64]:
        """The images' widths and heights in pixels as annotated, int64 [number of images, 2]."""
        return self._heads[:, 1:]

    @property
    def image_of_object(self) -> NDArray[np.int64]:
        """The index of each object's image, int64 [n]."""
        return np.repeat(np.arange(len(self)), np.diff(self._ends, prepend=0))

    @property
    def objects(self) -> NDArray[np.void]:
        """All objects of all images, [n] of `OBJECT_DTYPE`, in the order of the images."""
        return self._objects
