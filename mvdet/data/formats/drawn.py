"""labelme's and VIA's json files: polygons, rectangles and circles that were drawn on images."""

from collections.abc import Callable
from functools import partial
from pathlib import Path

from mvdet.data.formats.json_files import json_kind
from mvdet.data.formats.layout import IMAGE_FOLDERS, Place, Recognised, paired_splits, recognised, split_kind
from mvdet.data.formats.listing import child, visible

_LABELME_FOLDERS = ("annotations", "annotation", "labels", "label", "jsons", "json", "labelme")


def _is_kind(kind: str, file: Path) -> bool:
    return file.suffix.lower() == ".json" and json_kind(file) == kind


def find_labelme(root: Path) -> Recognised | None:
    """Images with one json file of labelme's each, beside them or in a folder of their own; None without such files."""
    is_one: Callable[[Path], bool] = partial(_is_kind, "labelme")
    splits = paired_splits(root, _LABELME_FOLDERS, is_one)
    return recognised(root, "labelme", splits) if splits else None


def find_via(root: Path) -> Recognised | None:
    """Images with one json file of the VGG Image Annotator, beside them; None where there is none.

    Raises:
        ValueError: several such files in a folder.
    """
    folders = [root, *(path for path in visible(root) if path.is_dir())]
    splits: dict[str, tuple[Place, ...]] = {}
    for folder in folders:
        files = [file for file in visible(folder) if _is_kind("via", file)]
        if len(files) > 1 and len(set(map(split_kind, [file.stem for file in files]))) < len(files):
            raise ValueError(f"{folder}: which of {', '.join(file.name for file in files)} is meant? Move one away")
        for file in files:
            name = file.stem if split_kind(file.stem) else "all" if folder == root else folder.name
            images = child(folder, [name, *IMAGE_FOLDERS]) or (root if folder.name.lower() == "annotations" else folder)
            splits[name] = (Place(images, file),)
    return recognised(root, "via", splits) if splits else None
