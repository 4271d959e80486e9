"""`shapes`: a data set that is generated, so that everything can be tried and tested without a download.

Circles, triangles, squares, stars and crosses, from 20 to 200 pixels across, rotated, textured, of varying colour, on
top of each other on textured grounds. Boxes and masks are those of the visible part, exact to the pixel.

    ROOT/images/{train,val}/SPLIT_00000.jpg        the images, stored once
    ROOT/labels/{train,val}/SPLIT_00000.txt        YOLO polygons, for detection and segmentation
    ROOT/annotations/instances_{train,val}.json    COCO; file names are relative to images/SPLIT
    ROOT/VOC/                                      VOC: see `mvdet.data.io.voc`
    ROOT/mvdet-dataset.json                        what it was made with

`python -c "from mvdet.data.shapes.dataset import generate; generate('datasets/shapes')"` makes it; so does `yolo train
data=cfg/datasets/shapes.yaml`.

Picture k of a split is decided by (seed, split, k) alone: the same pixels and labels on every machine, however many
pictures there are. The bytes of the JPEG files, and so the pixels read back from them, also depend on Pillow's encoder.
"""

import operator
from collections.abc import Callable
from pathlib import Path

import numpy as np
from PIL import Image as PilImage

from mvdet.data.io.coco_writer import CocoAnnotations
from mvdet.data.io.contours import Image, Instance, class_mask
from mvdet.data.io.folders import build_dataset
from mvdet.data.io.voc import VocFolder
from mvdet.data.io.yolo import polygon_row, write_labels
from mvdet.data.shapes.render import paint_picture
from mvdet.data.shapes.silhouettes import CLASSES

__all__ = [
    "CLASSES",
    "SEMANTIC_CLASSES",
    "SPLITS",
    "generate",
    "generate_classification",
    "generate_semantic",
    "render",
]

SEMANTIC_CLASSES = ("background", *CLASSES)
"""By the class number in the masks of `generate_semantic`."""
SPLITS = ("train", "val")
VERSION = 1
"""Part of a generated folder's settings; raise it when the same seed would give other pictures or files."""

Counts = dict[str, int]

_JPEG_QUALITY = 95
_MARGIN = 0.15  # of the longer side, on each side of the object
_LEAST_SIDE = 32  # pixels: on fewer, a star cannot be told from a circle
_FIRST_ID = {"train": 1, "val": 1_000_001}  # COCO image ids, apart so that the two files can be merged


def render(index: int, *, split: str = "train", seed: int = 0) -> tuple[Image, list[Instance]]:
    """One picture, without files.

    Args:
        index: number of the picture in its split, from 0, no upper limit.
        split: "train" or "val".
        seed: of the data set, 0 or more.

    Returns:
        The picture, [H, W, 3] uint8 RGB with H and W between 256 and 384, and its objects, one at least, from the
        lowest to the topmost; their masks do not overlap.

    Raises:
        ValueError: an argument is out of range.
        TypeError: an index or seed that is not an integer.
    """
    if split not in SPLITS:
        raise ValueError(f"split must be one of {', '.join(SPLITS)}, got {split!r}")
    key = [_at_least(0, "seed", seed), SPLITS.index(split), _at_least(0, "index", index)]
    return paint_picture(np.random.Generator(np.random.PCG64(key)))


def generate(root: str | Path, *, num_train: int = 400, num_val: int = 100, seed: int = 0) -> Path:
    """Write the data set, unless `root` holds it already.

    `root` is complete or not there at all, whether the process is interrupted or several processes do this at once.

    Args:
        root: the folder to create.
        num_train: pictures to train on, 1 or more.
        num_val: pictures to evaluate on, 1 or more.
        seed: 0 or more.

    Returns:
        The absolute path of `root`.

    Raises:
        FileExistsError: `root` holds something else, or was generated with other settings.
        RuntimeError: `root` was generated, but files have gone since.
        ValueError: an argument is out of range.
        TypeError: a number that is not an integer.
    """
    return _generate(root, "shapes", num_train, num_val, seed, _write)


def _generate(
    root: str | Path, name: str, num_train: int, num_val: int, seed: int, write: Callable[[Path, Counts, int], Counts]
) -> Path:
    """Build the folder `root` by `write`, which is given the folder, the pictures of each split, and the seed."""
    counts = {"train": _at_least(1, "num_train", num_train), "val": _at_least(1, "num_val", num_val)}
    settings = {"dataset": name, "version": VERSION, **counts, "seed": _at_least(0, "seed", seed)}
    root = Path(root).expanduser().resolve()
    build_dataset(root, settings, lambda folder: write(folder, counts, seed))
    return root


def _write(root: Path, counts: Counts, seed: int) -> Counts:
    """Write all pictures and labels to an empty folder; returns the number of objects in each split."""
    (root / "annotations").mkdir()
    voc = VocFolder(root / "VOC", CLASSES)
    names: dict[str, list[str]] = {}
    objects: Counts = {}
    for split, count in counts.items():
        images, labels = root / "images" / split, root / "labels" / split
        images.mkdir(parents=True)
        labels.mkdir(parents=True)
        coco = CocoAnnotations(CLASSES, f"mvdet shapes, {split}, seed {seed}, version {VERSION}")
        names[split] = [f"{split}_{index:05d}" for index in range(count)]
        objects[split] = 0
        for index, name in enumerate(names[split]):
            picture, instances = render(index, split=split, seed=seed)
            height, width, _ = picture.shape
            file = images / f"{name}.jpg"
            PilImage.fromarray(picture).save(file, quality=_JPEG_QUALITY)
            write_labels(labels / f"{name}.txt", [polygon_row(instance.label, instance.mask) for instance in instances])
            coco.add(_FIRST_ID[split] + index, file.name, width, height, instances)
            voc.add(file, width, height, instances)
            objects[split] += len(instances)
        coco.write(root / "annotations" / f"instances_{split}.json")
    voc.write_lists({**names, "trainval": names["train"] + names["val"]})
    return objects


def _at_least(least: int, name: str, value: int) -> int:
    """The value as an int, if it is one and not too small."""
    try:
        number = operator.index(value)
    except TypeError as error:
        raise TypeError(f"{name} must be an integer, got {value!r}") from error
    if number < least:
        raise ValueError(f"{name} must be at least {least}, got {value}")
    return number


def generate_classification(root: str | Path, *, num_train: int = 400, num_val: int = 100, seed: int = 0) -> Path:
    """Write the data set in ImageNet's layout, ROOT/{train,val}/CLASS/IMAGE.jpg, unless `root` holds it already.

    Each object of 32 pixels or more in the pictures of `generate` becomes an image: the square around it with a margin
    of 15 %, as far as the picture reaches. Of the default numbers, these are 1,318 and 329 images.

    Args:
        root: the folder to create.
        num_train: pictures that the training images are cut from, 1 or more.
        num_val: pictures that the others are cut from, 1 or more.
        seed: of the pictures, 0 or more.

    Returns:
        The absolute path of `root`.

    Raises:
        FileExistsError: `root` holds something else, or was generated with other settings.
        RuntimeError: `root` was generated, but files have gone since.
        ValueError: an argument is out of range.
    """
    return _generate(root, "shapes-classification", num_train, num_val, seed, _write_crops)


def _write_crops(root: Path, counts: Counts, seed: int) -> Counts:
    written = dict.fromkeys(counts, 0)
    for split, count in counts.items():
        for name in CLASSES:
            (root / split / name).mkdir(parents=True)
        for index in range(count):
            picture, instances = render(index, split=split, seed=seed)
            for number, instance in enumerate(instances):
                x1, y1, x2, y2 = instance.box
                if max(x2 - x1, y2 - y1) >= _LEAST_SIDE:
                    file = root / split / CLASSES[instance.label] / f"{split}_{index:05d}_{number}.jpg"
                    PilImage.fromarray(_cut(picture, instance.box)).save(file, quality=_JPEG_QUALITY)
                    written[split] += 1
    return written


def _cut(picture: Image, box: tuple[int, int, int, int]) -> Image:
    """The square with the margin around a box, as far as the picture [H, W, 3] reaches."""
    x1, y1, x2, y2 = box
    half = round(max(x2 - x1, y2 - y1) * (0.5 + _MARGIN))
    x, y = (x1 + x2) // 2, (y1 + y2) // 2
    return picture[max(0, y - half) : y + half, max(0, x - half) : x + half]


def generate_semantic(root: str | Path, *, num_train: int = 400, num_val: int = 100, seed: int = 0) -> Path:
    """Write pictures and masks, ROOT/{images,masks}/SPLIT/SPLIT_00000.{jpg,png}, unless `root` holds them already.

    A mask holds the class number of every pixel, by `SEMANTIC_CLASSES`.

    Args:
        root: the folder to create.
        num_train: pictures to train on, 1 or more.
        num_val: pictures to evaluate on, 1 or more.
        seed: of the pictures, 0 or more.

    Returns:
        The absolute path of `root`.

    Raises:
        FileExistsError: `root` holds something else, or was generated with other settings.
        RuntimeError: `root` was generated, but files have gone since.
        ValueError: an argument is out of range.
    """
    return _generate(root, "shapes-semantic", num_train, num_val, seed, _write_semantic)


def _write_semantic(root: Path, counts: Counts, seed: int) -> Counts:
    for split, count in counts.items():
        images, masks = root / "images" / split, root / "masks" / split
        images.mkdir(parents=True)
        masks.mkdir(parents=True)
        for index in range(count):
            picture, instances = render(index, split=split, seed=seed)
            height, width, _ = picture.shape
            PilImage.fromarray(picture).save(images / f"{split}_{index:05d}.jpg", quality=_JPEG_QUALITY)
            mask = class_mask(instances, height, width)
            PilImage.fromarray(mask).save(masks / f"{split}_{index:05d}.png")
    return counts
