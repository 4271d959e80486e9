"""What every detection data set gives: images, targets in torchvision's contract, and its ground truth for scoring."""

from collections.abc import Iterable, Sequence

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from mvdet.data.datasets.base import RecordDataset, Sample, Size, Target, Transform, TransformFactory, with_good_files
from mvdet.data.datasets.records import ImageRecord, Records
from mvdet.data.io.faults import BadData
from mvdet.data.io.ground_truth import CocoImage, GroundTruth, GroundTruthObject, distinct_names
from mvdet.data.io.images import check_header, check_size, read_image

OBJECT_INDEX = "object_index"
"""The label field that goes through a transform with the boxes: which object a box belongs to. All else about the
object is looked up by it, because albumentations passes label fields through float32, which ids do not survive."""


class DetectionDataset(RecordDataset[ImageRecord, NDArray[np.uint8], Transform]):
    """Images with boxes.

    `dataset[index]` gives an image at the default size, `dataset[height, width, index]` one at that size, which is what
    a multi-scale sampler asks for. A sample is `(image, target)`: image [3, H, W] uint8 RGB, contiguous, and target in
    torchvision's detection contract:

    - `boxes` float32 [n, 4]: xyxy pixels of the image as returned;
    - `labels` int64 [n]: `class_names[label - 1]`; 0 is the background and does not occur;
    - `area` float32 [n]: the annotated area, scaled like its box;
    - `iscrowd` int64 [n]: 1 for crowds and for objects to ignore;
    - `image_id` int64 []: the image's id;
    - `orig_size` int64 [2]: height and width of the image as annotated.

    Pictures are turned upright by their EXIF orientation where the annotations count so, see
    `mvdet.data.io.orientation`.

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
        records: one for each image, with objects that passed `mvdet.data.io.boxes.box_fault`.
        class_names: by label, from label 1.
        category_ids: the annotations' own ids, parallel to `class_names`.
        bad_data: holds the policy and what was found in the annotations; its `finish()` is called here.
        train: whether the targets are for training.
        transform: builds the transform for a size, with boxes in pascal_voc format and `OBJECT_INDEX` as the label
            field; None returns stored images as they are.
        size: `(height, width)` of the images that an index alone gives.
        seed: of the transforms, 0 or more; None takes torch's generator.
        check_files: look at every image file now, at its header and its end. Without it, missing and broken ones are
            met when they are read.

    Attributes:
        class_names, category_ids, records, bad_data, train, transform, size: as above.
        corner_like: objects whose size in the file looks like a corner, see `mvdet.data.io.boxes.looks_like_corners`.

    Raises:
        ValueError: bad data under the policy "error"; no usable image; sizes or seeds out of range.
    """

    records: Records
    corner_like = 0

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
        super().__init__(bad_data, train=train, transform=transform, size=size, seed=seed)
        self.class_names = tuple(class_names)
        self.category_ids = tuple(category_ids)
        records = list(records)
        self._use(Records(with_good_files(records, _check_header, bad_data) if check_files else records))

    def __getitem__(self, item: int | tuple[int, int, int]) -> Sample:
        """A sample; see the class.

        Raises:
            IndexError: no such index.
            ValueError: the image cannot be read and nothing may take its place, or a size was asked for without a
                transform to give it.
        """
        size, index = self._size_and_index(item)
        record, image = self._read(index)
        orig_size = image.shape[:2]
        objects = record.objects
        if self.train:
            objects = objects[~(objects["iscrowd"] | objects["ignore"])]
        boxes, area = np.array(objects["box"]), objects["area"]
        if self.transform is not None:
            result = self._transformed(size, index, image=image, bboxes=boxes, **{OBJECT_INDEX: np.arange(len(boxes))})
            image, kept = result["image"], np.asarray(result[OBJECT_INDEX], dtype=np.int64)
            boxes = np.array(result["bboxes"], dtype=np.float32).reshape(-1, 4)
            area = area[kept] * (_areas(boxes) / _areas(objects["box"][kept]))
            objects = objects[kept]
        target = {
            "boxes": torch.from_numpy(boxes),
            "labels": torch.from_numpy(np.array(objects["label"])),
            "image_id": torch.tensor(record.image_id, dtype=torch.int64),
            "area": torch.from_numpy(np.array(area, dtype=np.float32)),
            "iscrowd": torch.from_numpy((objects["iscrowd"] | objects["ignore"]).astype(np.int64)),
            "orig_size": torch.tensor(orig_size, dtype=torch.int64),
        }
        return torch.from_numpy(np.ascontiguousarray(image.transpose(2, 0, 1))), target  # [H, W, 3] -> [3, H, W]

    def ground_truth(self) -> GroundTruth:
        """The annotations of all usable images, checked and ready for the metrics of `mvdet.evaluation.metrics`.

        Objects to ignore (VOC's difficult) become crowds that are marked as difficult: pycocotools overwrites `ignore`
        with `iscrowd` (`COCOeval._prepare`), and faster-coco-eval does the same, so this is the one way to say "neither
        hit nor miss" to both; mmdetection's VOC converter does likewise. They match by the share of the detection that
        they cover, any number of detections each; VOC itself asks for an IoU above 0.5.
        """
        images, objects = {}, []
        for record in self.records:
            name = record.file.replace("\\", "/").rpartition("/")[2]
            images[record.image_id] = CocoImage(record.image_id, name, record.width, record.height)
            for box, label, area, iscrowd, ignore in record.objects.tolist():
                x1, y1, x2, y2 = box.tolist()
                box_xywh = x1, y1, x2 - x1, y2 - y1
                category_id = self.category_ids[label - 1]
                crowd = iscrowd or ignore
                objects.append(GroundTruthObject(record.image_id, category_id, box_xywh, area, crowd, ignore))
        names = distinct_names(dict(zip(self.category_ids, self.class_names, strict=True)))
        return GroundTruth(self.bad_data.source, images, names, tuple(objects))

    def _records_at(self, indices: Sequence[int]) -> Records:
        return Records([self.records[index] for index in indices])

    def _load(self, record: ImageRecord) -> NDArray[np.uint8]:
        annotated = record.width, record.height
        image = read_image(record.file, annotated)
        check_size(record.file, (image.shape[1], image.shape[0]), annotated)
        return image


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


def _check_header(record: ImageRecord) -> str | None:
    return record.file if check_header(record.file, (record.width, record.height)) else None


def _areas(boxes: NDArray[np.float32]) -> NDArray[np.float32]:
    """Areas [n] of xyxy boxes [n, 4]."""
    sides = boxes[:, 2:] - boxes[:, :2]
    return np.asarray(sides[:, 0] * sides[:, 1])
