"""BCCD, blood cells: from a local copy or its repository's archive, as it is or in YOLO's layout."""

import logging
import os
import shutil
import socket
import tempfile
import zipfile
from dataclasses import asdict, dataclass, field
from http.client import HTTPException
from pathlib import Path

from PIL import Image as PilImage

from mvdet.data.io.faults import Fault
from mvdet.data.io.folders import build_dataset
from mvdet.data.io.listing import is_hidden
from mvdet.data.io.voc import read_image_list
from mvdet.data.io.voc_xml import VocAnnotation, read_annotation
from mvdet.data.io.yolo import box_row, write_labels

ARCHIVE_URL = "https://github.com/Shenggan/BCCD_Dataset/archive/refs/heads/master.zip"
FOLDERS = ("JPEGImages", "Annotations", "ImageSets/Main")
CLASSES = ("RBC", "WBC", "Platelets")
SPLITS = ("train", "val", "test")
SOURCE_VARIABLE = "MVDET_BCCD"
VERSION = 1

_TIMEOUT_S = 60.0

logger = logging.getLogger(__name__)


def find_data_folder(folder: Path) -> Path:
    """The folder that holds BCCD's files: `folder`, its sub-folder `BCCD`, or that of its only sub-folder.

    Raises:
        FileNotFoundError: none of them holds all of `FOLDERS`; the message says what is missing in `folder`.
    """
    if not folder.is_dir():
        raise FileNotFoundError(f"{folder} is not a folder; BCCD's {', '.join(FOLDERS)} were expected in it")
    tops = [path for path in folder.iterdir() if path.is_dir() and not is_hidden(path.name)]
    inside = [tops[0], tops[0] / "BCCD"] if len(tops) == 1 else []
    for candidate in (folder, folder / "BCCD", *inside):
        if all((candidate / name).is_dir() for name in FOLDERS):
            return candidate
    missing = [name for name in FOLDERS if not (folder / name).is_dir()]
    raise FileNotFoundError(
        f"{folder} is not a copy of BCCD: it has no {', '.join(missing)}, nor has a BCCD folder in it"
    )


def download(url: str, folder: Path, source_variable: str) -> Path:
    """Download and unpack the repository's archive.

    Args:
        url: of a zip file.
        folder: existing, to unpack into.
        source_variable: the environment variable that the error message offers as a way round the download.

    Returns:
        The folder with BCCD's files.

    Raises:
        ConnectionError: no answer, an error status, or a file that is not a complete zip archive.
        FileNotFoundError: the archive holds something else.
    """
    from torch.hub import download_url_to_file  # torch takes seconds to import, and only a download needs it

    archive = folder / "archive.zip"
    before = socket.getdefaulttimeout()
    socket.setdefaulttimeout(_TIMEOUT_S)  # torch sets none, and a server that falls silent would block for ever
    try:
        download_url_to_file(url, str(archive))
        content = zipfile.ZipFile(archive)  # a download cut short is noticed here
    except (OSError, HTTPException, zipfile.BadZipFile) as error:
        raise ConnectionError(
            f"could not download BCCD from {url}: {error}\n"
            f"To go without: fetch {ARCHIVE_URL} on another machine, unpack it here, and set the environment variable "
            f"{source_variable} to the folder in it that holds {', '.join(FOLDERS)} (it is named BCCD)."
        ) from error
    finally:
        socket.setdefaulttimeout(before)
    with content:
        content.extractall(folder / "archive")
    return find_data_folder(folder / "archive")


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
        source: a local copy, as for `prepare`.
        url: of the repository's archive, a zip file.

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
            if annotation.faults:
                raise ValueError(annotation.faults[0][1])
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
        box = annotation.usable_box(item)
        if isinstance(box, Fault):
            summary.left_out.append(what)
            logger.warning("BCCD: left out a box without area: %s", what)
            continue
        if box != item.edges:
            summary.clipped.append(what)
            logger.warning("BCCD: clipped a box to its image of %d x %d pixels: %s", width, height, what)
        rows.append(box_row(CLASSES.index(item.name), box, width, height))
    return rows
