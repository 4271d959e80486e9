"""What every detection data set gives: images, targets in torchvision's contract, and its ground truth for scoring."""

from __future__ import annotations

import logging
import random
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Protocol

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import Dataset

from mvdet.data.bad_data import BadData
from mvdet.data.image_files import BadImageError, check_header, check_size, read_image
from mvdet.data.records import ImageRecord, Records

OBJECT_INDEX = "object_index"
"""The label field that goes through a transform with the boxes: which object a box belongs to. All else about the
object is looked up by it, because albumentations passes label fields through float32, which ids do not survive."""

Target = dict[str, Tensor]
Sample = tuple[Tensor, Target]
Size = tuple[int, int]

_HEADER_THREADS = 8  # for the latency of network disks; on a local one, one thread would do

logger = logging.getLogger(__name__)


class Transform(Protocol):
    """What albumentations' `Compose` is, with boxes in pascal_voc format and `OBJECT_INDEX` as the label field."""

    def __call__(self, **data: Any) -> Mapping[str, Any]:
        """Takes and returns `image` [H, W, 3] uint8, `bboxes` [n, 4] xyxy pixels and `object_index` [n]."""

    def set_random_state(self, random_generator: np.random.Generator, py_random: random.Random) -> None:
        """Makes all later draws come from these."""


TransformFactory = Callable[[int, int], Transform]
"""Builds the transform for images of `(height, width)`; must be picklable where workers are spawned."""


class DetectionDataset(Dataset[Sample]):
    """Images with boxes.

    `dataset[index]` gives an image at the default size, `dataset[height, width, index]` one at that size, which is what
    a multi-scale sampler asks for. A sample is `(image, target)`: image [3, H, W] uint8 RGB, contiguous, and target in
    torchvision's detection contract:

    - `boxes` float32 [n, 4]: xyxy pixels of the image as returned;
    - `labels` int64 [n]: `class_names[label - 1]`; 0 is the background and does not occur;
    - `area` float32 [n]: the annotated area, scaled like its box;
    - `iscrowd` int64 [n]: 1 for crowds and for objects to ignore;
    - `image_id` int64 []: the image's id;
    - `orig_size` int64 [2]: height and width of the stored image.

    With `train`, crowds and objects to ignore (VOC's difficult) are left out of the targets; the ground truth has them.
    Images without objects are kept.

    Random transforms repeat exactly under the same torch seed and number of workers: each sample's generator is seeded
    with a draw from torch's, which differs between workers and epochs. With `seed`, it is a function of `(seed, epoch,
    index)` instead, the same in any worker, on any rank and in a resumed run; `set_epoch` must then be called before
    each epoch.

    Files are looked at when the data set is made: header, size and end mark. What only decoding can show is met when a
    sample is read: under "error", and in evaluation under either policy, it raises; in training under "skip" the next
    usable record takes the place, the file is logged once and counted in `summary()`. (In evaluation an image that took
    another's place would count twice.)

    Args:
        records: one for each image, with objects that passed `bad_data.box_fault`.
        class_names: by label, from label 1.
        category_ids: the annotations' own ids, parallel to `class_names`.
        bad_data: holds the policy and what was found in the annotations; its `finish()` is called here.
        train: whether the targets are for training.
        transform: builds the transform for a size; None returns stored images as they are.
        size: `(height, width)` of the images that an index alone gives.
        seed: of the transforms, 0 or more; None takes torch's generator.
        check_files: look at every image file now (about 0.05 ms each). Without it, missing and broken ones are met when
            they are read.

    Attributes:
        class_names, category_ids, records, bad_data, train, transform, size: as above.

    Raises:
        ValueError: bad data under the policy "error"; no usable image; sizes or seeds out of range.
    """

    def __init__(
        self,
        records: Iterable[ImageRecord],
        class_names: Sequence[str],
        category_ids: Sequence[int],
        bad_data: BadData,
        *,
        train: bool,
        transform: TransformFactory | None = None,
        size: Size = (320, 320),
        seed: int | None = None,
        check_files: bool = True,
    ) -> None:
        if len(class_names) != len(category_ids):
            raise ValueError(f"got {len(class_names)} class names and {len(category_ids)} category ids")
        if seed is not None and seed < 0:
            raise ValueError(f"seed must be at least 0, got {seed}")
        self.class_names = tuple(class_names)
        self.category_ids = tuple(category_ids)
        self.bad_data = bad_data
        self.train = train
        self.transform = transform
        self.size = _checked_size(size)
        self.seed = seed
        records = list(records)
        self.records = Records(_with_good_files(records, bad_data) if check_files else records)
        bad_data.finish()
        if not len(self.records):
            raise ValueError(f"{bad_data.source}: no usable image; {bad_data.summary()}")
        self._transforms: dict[Size, Transform] = {}
        # In shared memory: workers, persistent ones too, see the epoch change, and tell which files they could not read
        self._epoch = torch.zeros((), dtype=torch.int64).share_memory_()
        self._unreadable = torch.zeros(len(self.records), dtype=torch.bool).share_memory_()

    def __len__(self) -> int:
        return len(self.records)

    def __getitem__(self, item: int | tuple[int, int, int]) -> Sample:
        """A sample; see the class.

        Raises:
            IndexError: no such index.
            ValueError: the image cannot be read and nothing may take its place, or a size was asked for without a
                transform to give it.
        """
        size, index = (_checked_size(item[:2]), item[2]) if isinstance(item, tuple) else (self.size, item)
        record, image = self._read(index)
        orig_size = image.shape[:2]
        objects = record.objects
        if self.train:
            objects = objects[~(objects["iscrowd"] | objects["ignore"])]
        boxes, area = np.array(objects["box"]), objects["area"]
        if self.transform is not None:
            image, boxes, kept = self._transformed(image, boxes, size, index)
            area = area[kept] * (_areas(boxes) / _areas(objects["box"][kept]))
            objects = objects[kept]
        elif isinstance(item, tuple):
            raise ValueError(f"size {size} was asked for, but the data set of {self.bad_data.source} has no transform")
        target = {
            "boxes": torch.from_numpy(boxes),
            "labels": torch.from_numpy(np.array(objects["label"])),
            "image_id": torch.tensor(record.image_id, dtype=torch.int64),
            "area": torch.from_numpy(np.array(area, dtype=np.float32)),
            "iscrowd": torch.from_numpy((objects["iscrowd"] | objects["ignore"]).astype(np.int64)),
            "orig_size": torch.tensor(orig_size, dtype=torch.int64),
        }
        return torch.from_numpy(np.ascontiguousarray(image.transpose(2, 0, 1))), target  # [H, W, 3] -> [3, H, W]

    def set_epoch(self, epoch: int) -> None:
        """Choose the epoch that `seed` is combined with; workers that are running already follow."""
        self._epoch.fill_(epoch)

    def summary(self) -> str:
        """What was left out, of the annotations and of the files that turned out unreadable since."""
        unreadable = int(self._unreadable.sum())
        return self.bad_data.summary() + (f"\n  and {unreadable} files that could not be decoded" if unreadable else "")

    def coco_ground_truth(self) -> dict[str, Any]:
        """The annotations of all usable images as the content of a COCO json, for pycocotools or faster-coco-eval.

        Objects to ignore (VOC's difficult) become crowds, `iscrowd` 1: pycocotools overwrites `ignore` with `iscrowd`
        (`COCOeval._prepare`), and faster-coco-eval does the same, so this is the one way to say "neither hit nor miss"
        to both; mmdetection's VOC converter does likewise. They match by the share of the detection that they cover,
        any number of detections each; VOC itself asks for an IoU above 0.5. `difficult` 1, and `ignore` 1 as in the
        COCO files made from VOC that are passed around, tell them from real crowds.
        """
        images, annotations = [], []
        for record in self.records:
            name = record.file.replace("\\", "/").rpartition("/")[2]
            images.append({"id": record.image_id, "file_name": name, "width": record.width, "height": record.height})
            for box, label, area, iscrowd, ignore, annotation_id in record.objects.tolist():
                x1, y1, x2, y2 = box.tolist()
                annotations.append(
                    {
                        "id": annotation_id,
                        "image_id": record.image_id,
                        "category_id": self.category_ids[label - 1],
                        "bbox": [x1, y1, x2 - x1, y2 - y1],
                        "area": area,
                        "iscrowd": int(iscrowd or ignore),
                        "ignore": int(ignore),
                        "difficult": int(ignore),
                    }
                )
        categories = [{"id": i, "name": name} for i, name in zip(self.category_ids, self.class_names, strict=True)]
        return {"info": {}, "images": images, "annotations": annotations, "categories": categories}

    def _read(self, index: int) -> tuple[ImageRecord, NDArray[np.uint8]]:
        """The record and image at `index`, or the next ones that can be read where the policy allows that."""
        if not -len(self) <= index < len(self):
            raise IndexError(f"index {index} of a data set of {len(self)} images")
        for position in range(index % len(self), index % len(self) + len(self)):
            if self._unreadable[position % len(self)]:
                continue
            record = self.records[position % len(self)]
            try:
                image = read_image(record.file)
                check_size(record.file, (image.shape[1], image.shape[0]), (record.width, record.height))
            except BadImageError as error:
                message = f"image {record.image_id}: {error.fault}: {error}"
                if self.bad_data.policy == "error":
                    raise ValueError(message) from error
                if not self.train:
                    raise ValueError(f"{message}; in evaluation no other image can take its place") from error
                self._unreadable[position % len(self)] = True
                logger.warning("%s; left out, the next image takes its place", message)
            else:
                return record, image
        raise ValueError(f"{self.bad_data.source}: not one of {len(self)} images can be read")

    def _transformed(
        self, image: NDArray[np.uint8], boxes: NDArray[np.float32], size: Size, index: int
    ) -> tuple[NDArray[np.uint8], NDArray[np.float32], NDArray[np.int64]]:
        """Image, boxes [m, 4], and which of the n boxes they are [m]."""
        assert self.transform is not None
        if size not in self._transforms:
            self._transforms[size] = self.transform(*size)
        transform = self._transforms[size]
        if self.seed is None:
            generator = np.random.default_rng(int(torch.randint(2**63 - 1, ())))
        else:
            generator = np.random.default_rng([self.seed, int(self._epoch), index % len(self)])
        transform.set_random_state(generator, random.Random(int(generator.integers(2**63))))
        result = transform(image=image, bboxes=boxes, **{OBJECT_INDEX: np.arange(len(boxes))})
        kept = np.asarray(result[OBJECT_INDEX], dtype=np.int64)
        return result["image"], np.array(result["bboxes"], dtype=np.float32).reshape(-1, 4), kept


def collate(batch: Sequence[Sample]) -> tuple[Tensor | list[Tensor], list[Target]]:
    """Put samples together: images [B, 3, H, W] where all sizes are equal, else a list of them; targets as a list."""
    images = [image for image, _ in batch]
    targets = [target for _, target in batch]
    return (torch.stack(images) if len({image.shape for image in images}) == 1 else images), targets


def init_worker(worker_id: int) -> None:
    """`worker_init_fn` for a DataLoader: keeps OpenCV to the worker's own thread.

    OpenCV would start one thread per core in each worker; and its pool, once used before the fork, may hang after it.
    """
    cv2.setNumThreads(0)


def _checked_size(size: Sequence[int]) -> Size:
    height, width = size
    if height < 1 or width < 1:
        raise ValueError(f"size must be (height, width) of at least 1, got {tuple(size)}")
    return int(height), int(width)


def _with_good_files(records: Sequence[ImageRecord], bad_data: BadData) -> list[ImageRecord]:
    """The records whose files pass `check_header`; the others are reported."""

    def check(record: ImageRecord) -> BadImageError | None:
        try:
            check_header(record.file, (record.width, record.height))
        except BadImageError as error:
            return error
        return None

    good = []
    with ThreadPoolExecutor(_HEADER_THREADS) as pool:
        for record, error in zip(records, pool.map(check, records), strict=True):
            if error is None:
                good.append(record)
            else:
                bad_data.report(error.fault, f"image {record.image_id}: {error}")
    return good


def _areas(boxes: NDArray[np.float32]) -> NDArray[np.float32]:
    """[n] of xyxy boxes [n, 4]."""
    sides = boxes[:, 2:] - boxes[:, :2]
    return np.asarray(sides[:, 0] * sides[:, 1])
