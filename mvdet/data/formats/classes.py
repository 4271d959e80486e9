"""Folders of images, one for each class, in split folders or without."""

import re
from pathlib import Path

from mvdet.data.formats.layout import IMAGE_FOLDERS, Place, Recognised, recognised, split_kind
from mvdet.data.formats.listing import child, holds, is_image, visible

_NO_CLASSES = {name.lower() for name in IMAGE_FOLDERS} | {"annotations", "labels", "masks", "segmentationclass"}
_IMAGENET, _IMAGENET_CLASSES = re.compile(r"n\d{8}"), 1000


def find_classes(root: Path) -> Recognised | None:
    """`SPLIT/CLASS/IMAGE` or `CLASS/IMAGE`, at any depth below the class; None where there are no such folders.

    Raises:
        ValueError: one class only.
    """
    folders = [path for path in visible(root) if path.is_dir()]
    if any(path.name.lower() in _NO_CLASSES for path in folders):
        return None
    by_split = {path.name: _class_folders(path) for path in folders if split_kind(path.name)}
    splits = {name: (Place(root / name),) for name, classes in by_split.items() if classes}
    classes = next((by_split[name] for name in splits), [])
    if not splits:
        classes = _class_folders(root)
        if len(classes) == 1:
            raise ValueError(
                f"{root}: one class folder only, {classes[0].name}; a classifier needs two classes at least"
            )
        splits = {"all": (Place(root),)} if classes else {}
    if not splits:
        return None
    imagenet = len(classes) == _IMAGENET_CLASSES and all(_IMAGENET.fullmatch(path.name) for path in classes)
    return recognised(root, "folder", splits, published=imagenet)


def _class_folders(folder: Path) -> list[Path]:
    """The folders with images; none where one is no class by its name or its content, or all are called like splits."""
    folders = [path for path in visible(folder) if path.is_dir() and holds(path, is_image)]
    names = {path.name.lower() for path in folders}
    if names & _NO_CLASSES or all(map(split_kind, names)) or any(child(path, _NO_CLASSES) for path in folders):
        return []
    return folders
