"""PASCAL VOC folders: their image lists and files found, and written. `mvdet.data.io.voc_xml` reads annotations."""

from collections.abc import Container, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple
from xml.etree import ElementTree

import numpy as np

from mvdet.data.io.contours import Instance, class_mask
from mvdet.data.io.folders import link_or_copy
from mvdet.data.io.images import IMAGE_SUFFIXES
from mvdet.data.io.listing import visible_files
from mvdet.data.io.masks import write_mask
from mvdet.data.io.text import read_text

_FLAGS = ("-1", "0", "1")  # in the lists of a class: without it, with difficult objects only, with it
_NAME_SUFFIXES = (*IMAGE_SUFFIXES, ".xml")


def read_image_list(file: str | Path, known: Container[str] = ()) -> list[str]:
    """Image names of a list in `ImageSets`, one a line; blank lines do not count.

    A name may have spaces and folders, and be written with a suffix, with backslashes or with its whole path; the lists
    of a class have -1, 0 or 1 behind it. Of these readings the first that is known counts.

    Args:
        file: the list, in any encoding of `mvdet.data.io.text`.
        known: the names that there are, relative and without suffixes.

    Returns:
        The names in the list's order; one that is listed twice is there twice.

    Raises:
        FileNotFoundError: no such file.
        ValueError: not text, or the list is empty.
    """
    lines = [line.strip() for line in read_text(file).splitlines() if line.strip()]
    if not lines:
        raise ValueError(f"{file}: lists no image")
    return [
        next((name for name in _readings(line) if name in known), _without_suffix(_without_flag(line)))
        for line in lines
    ]


def _readings(line: str) -> Iterator[str]:
    """What a line of a list may name, the most literal reading first."""
    for text in (line, _without_flag(line), line.split()[0]):
        path = text.replace("\\", "/").removeprefix("./")
        for name in (path, _without_suffix(path)):
            yield name
            for folder in ("JPEGImages/", "Annotations/"):
                if folder in name:
                    yield name.rpartition(folder)[2]


def _without_flag(line: str) -> str:
    name, _, flag = line.replace("\t", " ").rpartition(" ")
    return name.rstrip() if flag in _FLAGS and name.strip() else line


def _without_suffix(name: str) -> str:
    stem, dot, suffix = name.rpartition(".")
    return stem if f"{dot}{suffix}".lower() in _NAME_SUFFIXES else name


class ImageSet(NamedTuple):
    """One image list: its year folder, and the list itself."""

    folder: Path
    file: Path


def find_image_sets(
    root: str | Path, split: str | None, image_sets: Sequence[tuple[str, str]] | None, folders: Sequence[str]
) -> list[ImageSet]:
    """The image lists that are asked for.

    Args:
        root: a VOC folder; with `image_sets`, one that holds such folders itself or in `VOCdevkit`.
        split: the name of a list.
        image_sets: instead of `split`, several: `[("VOC2007", "trainval"), ("VOC2012", "trainval")]`.
        folders: what makes a VOC folder for the task; the last one holds the lists.

    Raises:
        FileNotFoundError: no such folder or list.
        ValueError: neither or both of `split` and `image_sets`.
    """
    root = Path(root).expanduser()
    if (split is None) == (image_sets is None):
        raise ValueError(f"give either split or image_sets, got {split!r} and {image_sets!r}")
    if image_sets is None:
        assert split is not None
        return [_image_set(_voc_folder([root], folders), split, folders[-1])]
    if not image_sets:
        raise ValueError("image_sets must name one list at least, got none")
    return [
        _image_set(_voc_folder([root / year, root / "VOCdevkit" / year], folders), name, folders[-1])
        for year, name in image_sets
    ]


def image_files(folder: Path) -> dict[str, str]:
    """Files by name without suffix, both relative to the folder; `.jpg`, VOC's own, before others of the same name."""
    files: dict[str, str] = {}
    paths = (path.relative_to(folder) for path in visible_files(folder, IMAGE_SUFFIXES))
    for path in sorted(paths, key=lambda path: (path.suffix != ".jpg", path)):
        files.setdefault(path.with_suffix("").as_posix(), path.as_posix())
    return files


def _voc_folder(candidates: Sequence[Path], wanted: Sequence[str]) -> Path:
    """The first of the candidates that holds the wanted folders."""
    for folder in candidates:
        if all((folder / name).is_dir() for name in wanted):
            return folder
    lines = [f"{folder} has no {', '.join(n for n in wanted if not (folder / n).is_dir())}" for folder in candidates]
    inside = sorted(str(path.parent) for path in candidates[0].glob("*/JPEGImages"))
    inside += sorted(str(path.parent) for path in candidates[0].glob("VOCdevkit/*/JPEGImages"))
    hint = f"; VOC folders inside it: {', '.join(inside)} (name them in image_sets)" if inside else ""
    raise FileNotFoundError(f"no VOC data: {'; '.join(lines)}{hint}")


def _image_set(folder: Path, split: str, lists: str) -> ImageSet:
    file = folder / lists / f"{split}.txt"
    if not file.is_file():
        there = ", ".join(sorted(path.stem for path in file.parent.glob("*.txt"))) or "none"
        raise FileNotFoundError(f"{file}: no such image list; there are {there}")
    return ImageSet(folder, file)


class VocFolder:
    """Writes a VOC folder image by image, then its lists.

    Args:
        root: the folder; it and its sub-folders are created.
        class_names: `class_names[i]` is the name of label i.
    """

    def __init__(self, root: Path, class_names: Sequence[str]) -> None:
        self.root = root
        self._class_names = tuple(class_names)
        for folder in ("Annotations", "JPEGImages", "SegmentationClass", "SegmentationObject"):
            (root / folder).mkdir(parents=True)

    def add(self, image_file: Path, width: int, height: int, instances: Sequence[Instance]) -> None:
        """Add an image that lies elsewhere already, with its objects; masks are [height, width] and do not overlap."""
        name = image_file.stem
        link_or_copy(image_file, self.root / "JPEGImages" / image_file.name)
        self._write_annotation(name, image_file.name, width, height, instances)
        objects = np.zeros((height, width), dtype=np.uint8)
        for number, instance in enumerate(instances, start=1):
            objects[instance.mask] = number
        masks = {"SegmentationClass": class_mask(instances, height, width), "SegmentationObject": objects}
        for folder, values in masks.items():
            write_mask(self.root / folder / f"{name}.png", values)

    def write_lists(self, splits: dict[str, Sequence[str]]) -> None:
        """Write each split's image names to `ImageSets/{Main,Segmentation}/SPLIT.txt`."""
        for task in ("Main", "Segmentation"):
            folder = self.root / "ImageSets" / task
            folder.mkdir(parents=True)
            for split, names in splits.items():
                (folder / f"{split}.txt").write_text("".join(f"{name}\n" for name in names), encoding="utf-8")

    def _write_annotation(
        self, name: str, image_name: str, width: int, height: int, instances: Sequence[Instance]
    ) -> None:
        root = ElementTree.Element("annotation")
        _add_texts(root, {"folder": self.root.name, "filename": image_name})
        _add_texts(ElementTree.SubElement(root, "size"), {"width": width, "height": height, "depth": 3})
        _add_texts(root, {"segmented": 1})
        for instance in instances:
            element = ElementTree.SubElement(root, "object")
            texts: dict[str, str | int] = {
                "name": self._class_names[instance.label],
                "pose": "Unspecified",
                "truncated": int(instance.truncated),
                "occluded": int(instance.occluded),
                "difficult": 0,
            }
            _add_texts(element, texts)
            x1, y1, x2, y2 = instance.box
            box = ElementTree.SubElement(element, "bndbox")
            _add_texts(box, {"xmin": x1 + 1, "ymin": y1 + 1, "xmax": x2, "ymax": y2})
        ElementTree.indent(root, "\t")
        (self.root / "Annotations" / f"{name}.xml").write_bytes(ElementTree.tostring(root) + b"\n")


def _add_texts(parent: ElementTree.Element, texts: dict[str, str | int] | dict[str, str] | dict[str, int]) -> None:
    for tag, text in texts.items():
        ElementTree.SubElement(parent, tag).text = str(text)
