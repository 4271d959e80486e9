"""Images and masks in folders, and the files that say what the class numbers mean."""

import csv
from dataclasses import replace
from pathlib import Path

from mvdet.data.formats.layout import Place, Recognised, paired_splits, recognised, split_kind
from mvdet.data.formats.listing import images_below, visible
from mvdet.data.io.listing import visible_files
from mvdet.data.io.text import read_text
from mvdet.wording import listed

FOLDERS = ("masks", "mask", "labels", "label", "annotations", "annotation", "ann_dir", "gt", "SegmentationClass")
"""What the folder of the masks may be called, in any case."""

CLASS_FILES = ("classes.txt", "class_names.txt", "labels.txt", "labelmap.txt", "_classes.csv")
"""Files of class names: one a line, CVAT's (`name:r,g,b::`), Roboflow's (`number, name`)."""

_SUFFIXES = ("_mask.png", "_masks.png", "_label.png", "_labels.png", "_labelIds.png", "_gt.png", "_L.png", "-mask.png")
_LOOKED_AT = 100  # images, until one has a mask


def find_folders(root: Path) -> Recognised | None:
    """Images and PNG masks of the same names in two folders, or side by side as `NAME.jpg` and `NAME_mask.png`.

    Raises:
        ValueError: a file of class names cannot be read.
    """
    splits = paired_splits(root, FOLDERS, is_png, beside=False) or _beside(root)
    splits = {name: tuple(_with_suffix(place) for place in places) for name, places in splits.items()}
    splits = {name: places for name, places in splits.items() if all(place.suffix for place in places)}
    return recognised(root, "folder", splits, class_names=named_classes(root)) if splits else None


def named_classes(root: Path) -> tuple[str, ...] | None:
    """The class names of the first of `CLASS_FILES` in a folder, or in a sub-folder of it; None without such a file.

    Raises:
        ValueError: the file cannot be read; names it.
    """
    folders = [root, *(path for path in visible(root) if path.is_dir())]
    files = [folder / name for folder in folders for name in CLASS_FILES if (folder / name).is_file()]
    return read_class_names(files[0]) if files else None


def read_class_names(file: str | Path) -> tuple[str, ...]:
    """Class names by class number: one a line, or in one of the forms of `CLASS_FILES`; blank lines do not count.

    Raises:
        FileNotFoundError: no such file.
        ValueError: not text, no name, or one twice; numbers that are not 0, 1, 2 ...; names the file.
    """
    file = Path(file).expanduser()
    names = _names_in(file, [line.strip() for line in read_text(file).splitlines() if line.strip()])
    if not names or len(set(names)) < len(names):
        raise ValueError(f"{file}: must name one class at least, each once, got {listed(names) or 'none'}")
    return names


def _names_in(file: Path, lines: list[str]) -> tuple[str, ...]:
    """The names in a file's lines, by the form that the file's name says it has."""
    if file.name == "labelmap.txt":
        return tuple(line.partition(":")[0] for line in lines if not line.startswith("#"))
    if file.suffix != ".csv":
        return tuple(lines)
    rows = [[cell.strip() for cell in row] for row in csv.reader(lines)]
    rows = rows[1:] if rows and not rows[0][0].isdigit() else rows
    if [row[0] for row in rows] != [str(number) for number in range(len(rows))] or any(len(row) < 2 for row in rows):
        raise ValueError(f"{file}: its rows must be NUMBER, NAME with the numbers 0, 1, 2 ..., got {rows[:3]}")
    return tuple(row[1] for row in rows)


def is_png(file: Path) -> bool:
    """Whether a file's name says that it is a PNG image."""
    return file.suffix.lower() == ".png"


def _beside(root: Path) -> dict[str, tuple[Place, ...]]:
    """Split folders, or the folder itself, in which masks lie beside their images."""
    folders = {path.name: path for path in visible(root) if path.is_dir() and split_kind(path.name)} or {"all": root}
    return {
        name: (Place(folder, folder),)
        for name, folder in folders.items()
        if any(path.name.endswith(_SUFFIXES) for path in visible(folder))
    }


def _with_suffix(place: Place) -> Place:
    """The place with what follows the images' names in those of their masks; empty where no name fits."""
    assert place.annotations is not None
    masks = {str(path.relative_to(place.annotations)) for path in visible_files(place.annotations, [".png"])}
    suffixes = _SUFFIXES if place.images == place.annotations else (".png", *_SUFFIXES)
    for image in images_below(place.images)[:_LOOKED_AT]:
        stem = str(image.relative_to(place.images).with_suffix(""))
        for suffix in suffixes:
            if stem + suffix in masks:
                return replace(place, suffix=suffix)
    return place
