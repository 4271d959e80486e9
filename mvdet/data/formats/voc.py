"""PASCAL VOC's layout, and others that XML files come in: beside their images, in folders of any name, in splits."""

import re
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from mvdet.class_names import VOC_CLASSES, VOC_SEGMENTATION_CLASSES
from mvdet.data.formats.layout import Place, Recognised, paired_splits, recognised
from mvdet.data.formats.listing import child, holds, visible
from mvdet.data.formats.masks import is_png, named_classes

BOXES = ("Annotations", "annotation", "xmls", "xml", "labels", "label", "anns", "outputs")
"""What the folder of the XML files may be called, in any case."""
XML_FOLDER = ("Annotations",)
_NO_MASKS = ("JPEGImages", "SegmentationObject")
MASKS = ("SegmentationClass", "SegmentationClassAug")

_YEAR = re.compile(r"(voc[-_]?)?20\d\d", re.IGNORECASE)
_PUBLISHED_SPLITS = (
    (("VOC2007:trainval", "VOC2012:trainval"), ("VOC2007:test",)),
    (("VOC2007:trainval",), ("VOC2007:test",)),
    (("VOC2012:train",), ("VOC2012:val",)),
    (("VOC2007:train",), ("VOC2007:val",)),
)
"""Of VOC's own folders: the first lists for training and validation that are there."""

_LEAST_IMAGES = 5_000  # of VOC itself, not of a sample of it; VOC 2007's training images are 5,011

Lists = dict[str, tuple[Place, ...]]


def is_xml(file: Path) -> bool:
    """Whether a file's name says that it is XML."""
    return file.suffix.lower() == ".xml"


def find_boxes(root: Path) -> Recognised | None:
    """Images with one XML file each, as VOC, LabelImg and Roboflow lay them out; None where there are none."""
    found = _published(root, XML_FOLDER, "Main", VOC_CLASSES) or _listed(root, XML_FOLDER, "Main", None)
    if found is not None:
        return found
    splits = paired_splits(root, BOXES, is_xml)
    return recognised(root, "voc", splits) if splits else None


def find_masks(root: Path) -> Recognised | None:
    """`JPEGImages` and `SegmentationClass`, with the lists of `ImageSets/Segmentation`; None where there are none.

    Raises:
        ValueError: a file of class names cannot be read.
    """
    names = named_classes(root)
    published = None if names else _published(root, MASKS, "Segmentation", VOC_SEGMENTATION_CLASSES)
    return published or _listed(root, MASKS, "Segmentation", names)


def _published(root: Path, annotations: Sequence[str], lists: str, names: tuple[str, ...]) -> Recognised | None:
    """VOC 2007 and 2012 themselves: a year's folder, or one that holds such folders, itself or in `VOCdevkit`."""
    folders = [one for one in _voc_folders(root, annotations) if _is_voc(one)]
    splits: Lists = {}
    for folder in folders:
        year = folder.resolve().name[-4:]
        splits |= {f"VOC{year}:{name}": (place,) for name, place in _lists(folder, annotations, lists).items()}
    whole = sum(len(visible(folder / "JPEGImages")) for folder in folders) >= _LEAST_IMAGES
    for train, val in _PUBLISHED_SPLITS:
        if all(name in splits for name in (*train, *val)):
            return Recognised("", "voc", root, splits, train, val, names, published=whole)
    return None


def _listed(root: Path, annotations: Sequence[str], lists: str, names: tuple[str, ...] | None) -> Recognised | None:
    """Somebody's own folder in VOC's layout: the folder itself, or all that lie in it."""
    folders = _voc_folders(root, annotations)
    if not folders:
        return None
    if folders[0] == root:
        folders = folders[:1]
    elif len(folders) < len([path for path in visible(folders[0].parent) if path.is_dir()]):
        return None  # one data set of several
    splits: Lists = {}
    for folder in folders:
        prefix = f"{folder.name}:" if len(folders) > 1 else ""
        splits |= {prefix + name: (place,) for name, place in _lists(folder, annotations, lists).items()}
    if annotations is MASKS:  # XML files name their classes themselves
        names = names or named_classes(folders[0])
    return recognised(root, "voc", splits, class_names=names)


def _voc_folders(root: Path, annotations: Sequence[str]) -> list[Path]:
    folders = [root, *visible(root), *visible(root / "VOCdevkit")]
    return [one for one in folders if (one / "JPEGImages").is_dir() and _annotations(one, annotations) is not None]


def _annotations(folder: Path, names: Sequence[str]) -> Path | None:
    """The folder of the annotations; of masks, where lists name them, one of any name."""
    is_one = is_xml if names is XML_FOLDER else is_png
    others: list[Path] = []
    if names is MASKS and (folder / "ImageSets" / "Segmentation").is_dir():
        others = [path for path in visible(folder) if path.is_dir() and path.name not in _NO_MASKS]
    found = (inside for inside in (child(folder, names), *others) if inside is not None and holds(inside, is_one))
    return next(found, None)


def _lists(folder: Path, annotations: Sequence[str], lists: str) -> dict[str, Place]:
    """The lists of one VOC folder; everything in it as "all" where there is no list."""
    place = Place(folder / "JPEGImages", _annotations(folder, annotations))
    image_sets = child(folder, ["ImageSets"])
    folders = [image_sets and child(image_sets, [lists]), image_sets]
    found = (_text_files(one) for one in folders if one is not None)
    files = next((files for files in found if files), {})
    # VOC's own lists of one class each, as aeroplane_train, say 1 or -1 behind every image's name
    of_all = {name: file for name, file in files.items() if not (name.rpartition("_")[2] in files and "_" in name)}
    return {name: replace(place, names=file) for name, file in of_all.items()} or {"all": place}


def _text_files(folder: Path) -> dict[str, Path]:
    return {file.stem: file for file in visible(folder) if file.suffix == ".txt"}


def _is_voc(folder: Path) -> bool:
    """Whether a folder holds VOC 2007 or 2012 itself: by its name, and by the numbers that its images are called."""
    numbered = re.compile(r"(20\d\d_)?\d{6}")
    images = visible(folder / "JPEGImages")
    return bool(_YEAR.fullmatch(folder.resolve().name)) and all(numbered.fullmatch(file.stem) for file in images)
