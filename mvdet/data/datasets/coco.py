"""COCO detection data: an instances json and a folder of images, straight from disk."""

from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from mvdet.data.datasets.base import Size, TransformFactory
from mvdet.data.datasets.detection import DetectionDataset
from mvdet.data.datasets.records import ImageRecord, ObjectRow, pack_objects
from mvdet.data.io.boxes import box_edges, clip_box, looks_like_corners
from mvdet.data.io.coco_json import read_ground_truth
from mvdet.data.io.faults import DEFAULT_POLICY, BadData, BadDataPolicy
from mvdet.data.io.ground_truth import GroundTruth, GroundTruthObject

YEARS = ("2017", "2014")
"""COCO's releases, whose files are named `instances_train2017.json` and `train2017/`; the newer one is tried first."""


class CocoFiles(NamedTuple):
    """Where a split lies: its instances json and its folder of images."""

    annotations: Path
    images: Path


def coco_split(root: str | Path, split: str) -> CocoFiles:
    """Find a split's files in a data set's folder.

    COCO's own layout is known (`annotations/instances_{split}2017.json` with `{split}2017/`, also 2014 and without a
    year) and that of mvdet's `shapes` (`annotations/instances_{split}.json` with `images/{split}/`), in any mixture. A
    year that `split` names itself ("val2014") is kept to.

    Args:
        root: the data set's folder.
        split: "train", "val", "train2017" ...

    Raises:
        FileNotFoundError: nothing was found; the message lists what was looked for.
    """
    root = Path(root).expanduser()
    names = [split, *(split + year for year in YEARS)]
    jsons = [root / "annotations" / f"instances_{name}.json" for name in names]
    found = next(((name, file) for name, file in zip(names, jsons, strict=True) if file.is_file()), None)
    if found is None:
        raise FileNotFoundError(f"no COCO annotations of split {split!r}; looked for {', '.join(map(str, jsons))}")
    name, annotations = found
    folders = [root / prefix / name for name in dict.fromkeys((name, split)) for prefix in ("", "images")]
    images = next((folder for folder in folders if folder.is_dir()), None)
    if images is None:
        raise FileNotFoundError(f"no images for {annotations}; looked for the folders {', '.join(map(str, folders))}")
    return CocoFiles(annotations, images)


class CocoDetection(DetectionDataset):
    """An instances json with its images.

    Labels follow ascending category id, from 1, whatever the ids are. Crowds and images without objects are kept; see
    `DetectionDataset` for what becomes of them. `area` is the annotation's, or its box's where it gives none.

    The file is read once. A data set to evaluate on keeps its objects as annotated, for `ground_truth`; one to train on
    does not, for it would hold them next to the records that it trains on, and is seldom scored.

    Args:
        annotations: the json file.
        images: the folder that its file names are relative to.
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
        self._truth = None if train else truth.of_images(self.records.image_ids.tolist())

    def ground_truth(self) -> GroundTruth:
        """What the json file says of the images and objects in use, so that scores are those of the file.

        Boxes and areas are the file's, to the last digit, not clipped and not rounded. For a data set to train on the
        file is read again.
        """
        if self._truth is not None:
            return self._truth
        truth = read_ground_truth(self.annotation_file, BadData(self.annotation_file, "skip"))
        return truth.of_images(self.records.image_ids.tolist())


def _records(truth: GroundTruth, folder: Path) -> Iterator[ImageRecord]:
    labels = {category_id: label for label, category_id in enumerate(truth.class_names, start=1)}
    for image_id, objects in truth.objects_by_image().items():
        image = truth.images[image_id]
        assert image.width is not None
        assert image.height is not None
        rows = [_row(item, labels[item.category_id], image.width, image.height) for item in objects]
        yield ImageRecord(str(folder / image.file_name), image_id, image.width, image.height, pack_objects(rows))


def _looks_like_corners(item: GroundTruthObject, truth: GroundTruth) -> bool:
    image = truth.images[item.image_id]
    assert image.width is not None
    assert image.height is not None
    return looks_like_corners(item.box_xywh, image.width, image.height)


def _row(item: GroundTruthObject, label: int, width: int, height: int) -> ObjectRow:
    return clip_box(box_edges(item.box_xywh), width, height), label, item.area, item.crowd, False
