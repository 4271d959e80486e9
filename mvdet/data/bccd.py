"""BCCD: 364 microscope pictures of blood cells, converted from VOC to YOLO.

Source: https://github.com/Shenggan/BCCD_Dataset (MIT licence), 640 x 480 pixels, 4,888 boxes, two of them without area.

    ROOT/images/{train,val,test}/*.jpg    copies, so that nothing done to them reaches the source
    ROOT/labels/{train,val,test}/*.txt    YOLO boxes
    ROOT/LICENSE                          the data set's own, where the source has it

The files follow VOC: coordinates count from 1 and include the last pixel (they run from 1 to 640 and to 480, and 0 does
not occur), so a box's pixel edges are `xmin - 1 .. xmax`.
"""

from __future__ import annotations

import logging
import os
import shutil
import tempfile
from dataclasses import asdict, dataclass, field
from pathlib import Path

from PIL import Image as PilImage

from mvdet.data.bccd_source import ARCHIVE_URL, FOLDERS, download, find_data_folder
from mvdet.data.build import build_dataset
from mvdet.data.voc import VocAnnotation, read_annotation, read_image_list
from mvdet.data.yolo_labels import box_row, write_labels

__all__ = ["ARCHIVE_URL", "CLASSES", "SPLITS", "Summary", "prepare"]

CLASSES = ("RBC", "WBC", "Platelets")
SPLITS = ("train", "val", "test")
SOURCE_VARIABLE = "MVDET_BCCD"
VERSION = 1

logger = logging.getLogger(__name__)


@dataclass
class Summary:
    """What `prepare` wrote.

    Attributes:
        images, boxes: number of each, by split.
        left_out: one line for each box without area: file, object and box.
        clipped: one line for each box that reached out of its image.
    """

    images: dict[str, int] = field(default_factory=dict)
    boxes: dict[str, int] = field(default_factory=dict)
    left_out: list[str] = field(default_factory=list)
    clipped: list[str] = field(default_factory=list)

    def __str__(self) -> str:
        splits = ", ".join(
            f"{split} {count} images / {self.boxes[split]} boxes" for split, count in self.images.items()
        )
        return f"BCCD: {splits}; {len(self.left_out)} boxes without area left out, {len(self.clipped)} clipped"


def prepare(root: str | Path, source: str | Path | None = None, *, url: str = ARCHIVE_URL) -> Summary:
    """Write BCCD in YOLO's layout, unless `root` holds it already.

    `root` is complete or not there at all, whether the process is interrupted or several processes do this at once.
    Every box that is left out or clipped is logged as a warning, and the counts are in the summary.

    Args:
        root: the folder to create.
        source: a local copy: the folder that holds `JPEGImages`, `Annotations` and `ImageSets/Main`, or a clone or an
            unpacked archive of the repository. None means the folder that the environment variable `MVDET_BCCD` names,
            and a download where it is not set.
        url: of the repository's archive, a zip file.

    Raises:
        FileNotFoundError: `source` or `MVDET_BCCD` is not such a folder, or misses a file that its lists name.
        ConnectionError: the archive cannot be downloaded; the message says what to fetch by hand.
        ValueError: an annotation is malformed, has an unknown class, or differs from its image in size.
        FileExistsError: `root` holds something else.
        RuntimeError: `root` was written here, but files have gone since.
    """
    local = _local_copy(source)

    def write(building: Path) -> dict[str, object]:
        if local is not None:
            return asdict(_convert(find_data_folder(local), building))
        with tempfile.TemporaryDirectory(dir=building, prefix=".download-") as unpacked:
            return asdict(_convert(download(url, Path(unpacked), SOURCE_VARIABLE), building))

    return Summary(**build_dataset(root, {"dataset": "bccd", "version": VERSION}, write))


def find_voc_folder(root: str | Path, source: str | Path | None = None, *, url: str = ARCHIVE_URL) -> Path:
    """BCCD in its own VOC layout: a local copy, or the archive, downloaded into `root` unless it is there already.

    Args:
        root: the folder to keep the download in; complete or not there at all.
        source, url: as for `prepare`.

    Returns:
        The folder that holds `JPEGImages`, `Annotations` and `ImageSets/Main`.

    Raises:
        FileNotFoundError: `source`, `MVDET_BCCD` or `root` is not such a folder.
        ConnectionError: the archive cannot be downloaded; the message says what to fetch by hand.
    """
    if (local := _local_copy(source)) is not None:
        return find_data_folder(local)
    root = Path(root)
    if not root.is_dir():
        root.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=root.parent, prefix=".download-") as unpacked:
            download(url, Path(unpacked), SOURCE_VARIABLE)
            if not root.is_dir():  # another process may have been faster
                (Path(unpacked) / "archive").rename(root)
    return find_data_folder(root)


def _local_copy(source: str | Path | None) -> Path | None:
    """The folder that was given, or that the environment names."""
    local = source if source is not None else os.environ.get(SOURCE_VARIABLE) or None
    return None if local is None else Path(local).expanduser()


def _convert(data: Path, root: Path) -> Summary:
    """Convert the VOC folder `data` into the empty folder `root`."""
    summary = Summary()
    for split in SPLITS:
        images, labels = root / "images" / split, root / "labels" / split
        images.mkdir(parents=True)
        labels.mkdir(parents=True)
        names = read_image_list(data / FOLDERS[2] / f"{split}.txt")
        summary.images[split], summary.boxes[split] = len(names), 0
        for name in names:
            image = data / FOLDERS[0] / f"{name}.jpg"
            annotation = read_annotation(data / FOLDERS[1] / f"{name}.xml")
            _check_size(annotation, image)
            rows = _label_rows(annotation, summary)
            shutil.copyfile(image, images / image.name)
            write_labels(labels / f"{name}.txt", rows)
            summary.boxes[split] += len(rows)
    for licence in (data / "LICENSE", data.parent / "LICENSE"):
        if licence.is_file():
            shutil.copyfile(licence, root / "LICENSE")
            break
    return summary


def _check_size(annotation: VocAnnotation, image: Path) -> None:
    """Refuse an annotation made for an image of another size: its boxes would lie elsewhere."""
    with PilImage.open(image) as picture:
        size = picture.size
    if size != (annotation.width, annotation.height):
        raise ValueError(
            f"{annotation.file}: says {annotation.width} x {annotation.height} pixels, "
            f"but {image} has {size[0]} x {size[1]}"
        )


def _label_rows(annotation: VocAnnotation, summary: Summary) -> list[str]:
    """YOLO rows of an annotation; notes in the summary, and logs, what is not taken as it stands."""
    rows = []
    width, height = annotation.width, annotation.height
    for number, item in enumerate(annotation.objects, start=1):
        if item.name not in CLASSES:
            raise ValueError(
                f"{annotation.file}: object {number}: unknown class {item.name!r}, allowed are {', '.join(CLASSES)}"
            )
        xmin, ymin, xmax, ymax = item.box
        what = f"{annotation.file.name}: object {number} ({item.name}), box {xmin:g}, {ymin:g}, {xmax:g}, {ymax:g}"
        x1, y1, x2, y2 = item.edges
        box = max(x1, 0.0), max(y1, 0.0), min(x2, float(width)), min(y2, float(height))
        # xmin = xmax would be one pixel wide by VOC's rule; here it is a mouse click that drew nothing.
        if xmin >= xmax or ymin >= ymax or box[0] >= box[2] or box[1] >= box[3]:
            summary.left_out.append(what)
            logger.warning("BCCD: left out a box without area: %s", what)
            continue
        if box != item.edges:
            summary.clipped.append(what)
            logger.warning("BCCD: clipped a box to its image of %d x %d pixels: %s", width, height, what)
        rows.append(box_row(CLASSES.index(item.name), box, width, height))
    return rows
