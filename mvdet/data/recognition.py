"""What a folder of data is: its format, and where its splits lie, from the names that lie in it."""

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path

from mvdet.data.formats.classes import find_classes
from mvdet.data.formats.coco import find_coco
from mvdet.data.formats.drawn import find_labelme, find_via
from mvdet.data.formats.layout import Recognised
from mvdet.data.formats.listing import visible
from mvdet.data.formats.masks import find_folders
from mvdet.data.formats.voc import find_boxes, find_masks
from mvdet.data.formats.yolo import find_yolo
from mvdet.wording import listed

Finder = Callable[[Path], Recognised | None]

FINDERS: Mapping[str, Mapping[str, Finder]] = {
    "detection": {
        "coco": find_coco,
        "yolo": find_yolo,
        "voc": find_boxes,
        "labelme": find_labelme,
        "via": find_via,
    },
    "segmentation": {"voc": find_masks, "folder": find_folders},
    "classification": {"folder": find_classes},
}
"""By task and data format, in the order in which they are preferred where several describe the same images."""

_DETECTION_LAYOUTS = {
    "coco": "COCO (json files with images)",
    "yolo": "YOLO (data.yaml)",
    "voc": "VOC (XML files beside the images or in Annotations)",
    "labelme": "labelme (a json file an image)",
    "via": "VIA (via_region_data.json)",
}
_LAYOUTS_OF_TASK = {
    "detection": ", ".join(_DETECTION_LAYOUTS.values()),
    "segmentation": "VOC (JPEGImages, SegmentationClass), images and masks in folders (images/train, masks/train)",
    "classification": "a folder of images for each class, in train and val or without splits",
}
_MOST_SUFFIXES = 5  # in a message
_WRAPPERS = 3  # folders with but one folder in them, as unpacked archives have


def recognise(root: str | Path, task: str | None = None, data_format: str | None = None) -> Recognised:
    """Find out what data set a folder holds, by what lies in it; big files are not read.

    Args:
        root: the folder; for YOLO also its YAML file.
        task: "detection", "segmentation" or "classification"; None takes the first of these that fits.
        data_format: look for this one only.

    Raises:
        FileNotFoundError: no such folder; or it holds nothing that is understood, or half of it: the message says what
            was found and what is understood.
        ValueError: several formats fit and describe different images; a file that describes the data set is wrong.
    """
    root = Path(root).expanduser()
    if not root.exists():
        raise FileNotFoundError(f"{root}: no such folder")
    if root.is_file() and root.suffix.lower() not in (".yaml", ".yml"):
        raise FileNotFoundError(f"{root}: a data set is a folder, or the YAML file of a YOLO data set; this is a file")
    tasks = FINDERS if task is None else {task: FINDERS[task]}
    problems: list[Exception] = []
    for folder in _with_wrapped(root):
        for name, finders in tasks.items():
            chosen = {key: find for key, find in finders.items() if data_format in (None, key)}
            found, wrong = _found(folder, chosen)
            problems += wrong
            if found:
                return replace(_one(folder, found), task=name)
    if problems:
        raise problems[0]
    asked = "" if data_format is None else f"{data_format} "
    known = "; ".join(f"for {name}: {_LAYOUTS_OF_TASK[name]}" for name in tasks)
    raise FileNotFoundError(f"{root}: no {asked}data set found, it holds {_content(root)}; understood are {known}")


def _found(folder: Path, finders: Mapping[str, Finder]) -> tuple[list[Recognised], list[Exception]]:
    """What the finders make of a folder, and what they say is wrong with it."""
    found: list[Recognised] = []
    problems: list[Exception] = []
    for find in finders.values():
        try:
            one = find(folder)
        except (FileNotFoundError, ValueError) as error:
            problems.append(error)
        else:
            found += [one] if one is not None else []
    return found, problems


def _one(root: Path, found: list[Recognised]) -> Recognised:
    """The first format, where all describe the same images."""
    first, *others = found
    folders = _image_folders(first)
    for other in others:
        if not any(
            a == b or a.is_relative_to(b) or b.is_relative_to(a) for a in folders for b in _image_folders(other)
        ):
            formats = " and ".join(one.data_format for one in found)
            raise ValueError(
                f"{root}: both {formats} fit, for images in {listed(map(str, folders))} and in "
                f"{listed(map(str, _image_folders(other)))}; say which with --data-format"
            )
    return replace(first, also=tuple(one.data_format for one in others))


def _image_folders(one: Recognised) -> list[Path]:
    return sorted({place.images.resolve() for places in one.splits.values() for place in places})


def _with_wrapped(root: Path) -> list[Path]:
    """The folder and, as long as a folder holds one folder only, that one."""
    folders = [root]
    while len(folders) <= _WRAPPERS:
        inside = [path for path in visible(folders[-1]) if path.is_dir()]
        if len(inside) != 1:
            break
        folders += inside
    return folders


def _content(root: Path) -> str:
    """What lies in a folder, for a message: its folders, and its files by suffix."""
    if root.is_file():
        return "a file"
    entries = visible(root)
    folders = [path.name for path in entries if path.is_dir()]
    files = Counter(path.suffix.lower() or path.name for path in entries if path.is_file())
    parts = [f"the folders {listed(folders)}"] if folders else []
    parts += [f"{count} x {suffix}" for suffix, count in files.most_common(_MOST_SUFFIXES)]
    return ", ".join(parts) or "nothing"
