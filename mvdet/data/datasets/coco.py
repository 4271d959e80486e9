"""COCO detection data: an instances json and a folder of images, straight from disk."""

from collections.abc import Iterator
from pathlib import Path

from mvdet.data.datasets.base import Size, TransformFactory
from mvdet.data.datasets.detection import DetectionDataset
from mvdet.data.datasets.records import ImageRecord, ObjectRow, pack_objects
from mvdet.data.formats.coco import CocoFiles, coco_split
from mvdet.data.formats.image_names import ImageNames
from mvdet.data.io.boxes import box_edges, clip_box, looks_like_corners
from mvdet.data.io.coco_json import read_ground_truth
from mvdet.data.io.faults import DEFAULT_POLICY, BadData, BadDataPolicy
from mvdet.data.io.ground_truth import GroundTruth, GroundTruthObject

__all__ = ["CocoDetection", "CocoFiles", "coco_split"]


class CocoDetection(DetectionDataset):
    """An instances json with its images.

    Labels follow ascending category id, from 1, whatever the ids are. Crowds and images without objects are kept; see
    `DetectionDataset` for what becomes of them. `area` is the annotation's, or its box's where it gives none. A
    category that only bears the name of the others' group, as Roboflow's first, is no class (see `without_group`).

    The file is read once. A data set to evaluate on keeps its objects as annotated, for `ground_truth`; one to train on
    does not, for it would hold them next to the records that it trains on, and is seldom scored.

    Args:
        annotations: the json file.
        images: the folder that its file names are relative to; see `ImageNames` for names that tools wrote otherwise.
        train, transform, size, seed, check_files: see `DetectionDataset`.
        on_bad_data: what happens to bad items, see `mvdet.data.io.faults`.

    Raises:
        FileNotFoundError: no such json file or folder.
        ValueError: the file is not COCO instances, under either policy; bad items under "error"; nothing usable.
    """

    def __init__(
        self,
        annotations: str | Path,
        images: str | Path,
        *,
        train: bool,
        on_bad_data: BadDataPolicy = DEFAULT_POLICY,
        transform: TransformFactory | None = None,
        size: Size = (320, 320),
        seed: int | None = None,
        check_files: bool = True,
    ) -> None:
        self.annotation_file = Path(annotations)
        folder = Path(images)
        if not folder.is_dir():
            raise FileNotFoundError(f"{folder} is not a folder; the images of {annotations} were expected in it")
        bad_data = BadData(self.annotation_file, on_bad_data)
        truth = read_ground_truth(self.annotation_file, bad_data)
        super().__init__(
            _records(truth, folder),
            tuple(truth.class_names.values()),
            tuple(truth.class_names),
            bad_data,
            train=train,
            transform=transform,
            size=size,
            seed=seed,
            check_files=check_files,
        )
        self.corner_like = sum(_looks_like_corners(item, truth) for item in truth.objects)
        self._truth = None if train else truth

    def ground_truth(self) -> GroundTruth:
        """What the json file says of the images and objects in use, so that scores are those of the file.

        Boxes and areas are the file's, to the last digit, not clipped and not rounded. For a data set to train on the
        file is read again.
        """
        truth = self._truth or read_ground_truth(self.annotation_file, BadData(self.annotation_file, "skip"))
        return truth.of_images(self.records.image_ids.tolist())


def _records(truth: GroundTruth, folder: Path) -> Iterator[ImageRecord]:
    labels = {category_id: label for label, category_id in enumerate(truth.class_names, start=1)}
    # anywhere below the folder only where no name leads to an image: a single one that does not is missing
    names = ImageNames(folder, deep=False)
    if not any(names.find(image.file_name) for image in truth.images.values()):
        names = ImageNames(folder)
    for image_id, objects in truth.objects_by_image().items():
        image = truth.images[image_id]
        assert image.width is not None
        assert image.height is not None
        rows = [_row(item, labels[item.category_id], image.width, image.height) for item in objects]
        file = names.find(image.file_name) or folder / image.file_name
        yield ImageRecord(str(file), image_id, image.width, image.height, pack_objects(rows))


def _looks_like_corners(item: GroundTruthObject, truth: GroundTruth) -> bool:
    image = truth.images[item.image_id]
    assert image.width is not None
    assert image.height is not None
    return looks_like_corners(item.box_xywh, image.width, image.height)


def _row(item: GroundTruthObject, label: int, width: int, height: int) -> ObjectRow:
    return clip_box(box_edges(item.box_xywh), width, height), label, item.area, item.crowd, False
