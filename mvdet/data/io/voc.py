"""Read PASCAL VOC annotation files and image lists.

VOC counts pixels from 1 and includes the last one: xmin = 1 is the first column, xmin = xmax is one pixel wide.
`VocObject.edges` turns that into pixel edges, xyxy from 0, which is what everything else in mvdet uses.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple
from xml.etree import ElementTree

import numpy as np

from mvdet.data.io.boxes import Box, box_fault, clip_box
from mvdet.data.io.contours import Instance, class_mask
from mvdet.data.io.faults import Fault
from mvdet.data.io.folders import link_or_copy
from mvdet.data.io.masks import write_mask


@dataclass(frozen=True)
class VocObject:
    """One `<object>`.

    Attributes:
        name: the class, as written.
        box: `(xmin, ymin, xmax, ymax)` as written: 1-based, the last pixel included.
        difficult, truncated: as written; False where the file does not say.
    """

    name: str
    box: Box
    difficult: bool = False
    truncated: bool = False

    @property
    def edges(self) -> Box:
        """The box as pixel edges `(x1, y1, x2, y2)` from 0; `x2 - x1` is the width."""
        xmin, ymin, xmax, ymax = self.box
        return xmin - 1, ymin - 1, xmax, ymax


@dataclass(frozen=True)
class VocAnnotation:
    """One annotation file.

    Attributes:
        file: where it was read.
        filename: of the image, as written; empty where the file does not say.
        width: of the image in pixels, as written.
        height: of the image in pixels, as written.
        objects: in the file's order.
    """

    file: Path
    filename: str
    width: int
    height: int
    objects: tuple[VocObject, ...]

    def usable_box(self, item: VocObject) -> Box | Fault:
        """The part of an object's box inside the image, as pixel edges, or what makes the box unusable.

        A box whose xmin equals its xmax, or ymin its ymax, has no area: by VOC's rule it would be one pixel wide, but
        in real files it is a click that drew nothing.
        """
        xmin, ymin, xmax, ymax = item.box
        if xmin >= xmax or ymin >= ymax:
            return Fault.NO_AREA
        return box_fault(item.edges, self.width, self.height) or clip_box(item.edges, self.width, self.height)


def read_annotation(file: str | Path) -> VocAnnotation:
    """Read one VOC XML file.

    Values are returned as written; what to do with a box that has no area or leaves the image is the caller's choice.

    Raises:
        FileNotFoundError: no such file.
        ValueError: not an annotation: the message names the file, the object (counted from 1) and what is wrong.
    """
    file = Path(file)
    try:
        root = ElementTree.fromstring(file.read_bytes())
    except ElementTree.ParseError as error:
        raise ValueError(f"{file}: not well-formed XML: {error}") from error
    if root.tag != "annotation":
        raise ValueError(f"{file}: the outermost element must be <annotation>, got <{root.tag}>")
    width, height = (_size(root, key, file) for key in ("width", "height"))
    objects = tuple(_read_object(element, f"{file}: object {n}") for n, element in enumerate(root.findall("object"), 1))
    return VocAnnotation(file, (root.findtext("filename") or "").strip(), width, height, objects)


def read_image_list(file: str | Path) -> list[str]:
    """Image names of a list in `ImageSets`: the first word of each line; blank lines do not count.

    Raises:
        FileNotFoundError: no such file.
        ValueError: the list is empty or names an image twice.
    """
    file = Path(file)
    names = [line.split()[0] for line in file.read_text(encoding="utf-8").splitlines() if line.strip()]
    if not names:
        raise ValueError(f"{file}: lists no image")
    if len(set(names)) < len(names):
        twice = sorted({name for name in names if names.count(name) > 1})
        raise ValueError(f"{file}: lists images twice: {', '.join(twice)}")
    return names


def _read_object(element: ElementTree.Element, where: str) -> VocObject:
    name = (element.findtext("name") or "").strip()
    if not name:
        raise ValueError(f"{where}: <name> is missing or empty")
    xmin, ymin, xmax, ymax = (_number(element, f"bndbox/{key}", where) for key in ("xmin", "ymin", "xmax", "ymax"))
    return VocObject(
        name, (xmin, ymin, xmax, ymax), _flag(element, "difficult", where), _flag(element, "truncated", where)
    )


def _number(element: ElementTree.Element, path: str, where: str) -> float:
    text = element.findtext(path)
    if text is None:
        raise ValueError(f"{where}: <{path}> is missing")
    try:
        value = float(text)
    except ValueError as error:
        raise ValueError(f"{where}: <{path}> must be a number, got {text!r}") from error
    if not math.isfinite(value):
        raise ValueError(f"{where}: <{path}> must be finite, got {text!r}")
    return value


def _size(root: ElementTree.Element, key: str, file: Path) -> int:
    value = _number(root, f"size/{key}", str(file))
    if value < 1 or value != int(value):
        raise ValueError(f"{file}: <size/{key}> must be a whole number of at least 1, got {value:g}")
    return int(value)


def _flag(element: ElementTree.Element, key: str, where: str) -> bool:
    text = (element.findtext(key) or "0").strip()
    if text not in ("0", "1"):
        raise ValueError(f"{where}: <{key}> must be 0 or 1, got {text!r}")
    return text == "1"


class ImageSet(NamedTuple):
    """One image list: its year folder, the names on it, and the list itself."""

    folder: Path
    names: tuple[str, ...]
    file: Path


def find_image_sets(
    root: str | Path, split: str | None, image_sets: Sequence[tuple[str, str]] | None, folders: Sequence[str]
) -> list[ImageSet]:
    """The image lists that are asked for, read.

    Args:
        root: a VOC folder; with `image_sets`, one that holds such folders itself or in `VOCdevkit`.
        split: the name of a list.
        image_sets: instead of `split`, several: `[("VOC2007", "trainval"), ("VOC2012", "trainval")]`.
        folders: what makes a VOC folder for the task; the last one holds the lists.

    Raises:
        FileNotFoundError: no such folder or list.
        ValueError: neither or both of `split` and `image_sets`; a list is malformed.
    """
    root = Path(root).expanduser()
    if (split is None) == (image_sets is None):
        raise ValueError(f"give either split or image_sets, got {split!r} and {image_sets!r}")
    if image_sets is None:
        assert split is not None
        return [_read_image_set(_voc_folder([root], folders), split, folders[-1])]
    if not image_sets:
        raise ValueError("image_sets must name one list at least, got none")
    return [
        _read_image_set(_voc_folder([root / year, root / "VOCdevkit" / year], folders), name, folders[-1])
        for year, name in image_sets
    ]


def image_files(folder: Path) -> dict[str, str]:
    """File names by stem; `.jpg`, VOC's own, before others of the same stem."""
    files: dict[str, str] = {}
    for path in sorted(folder.iterdir(), key=lambda path: (path.suffix != ".jpg", path.name)):
        files.setdefault(path.stem, path.name)
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


def _read_image_set(folder: Path, split: str, lists: str) -> ImageSet:
    file = folder / lists / f"{split}.txt"
    if not file.is_file():
        there = ", ".join(sorted(path.stem for path in file.parent.glob("*.txt"))) or "none"
        raise FileNotFoundError(f"{file}: no such image list; there are {there}")
    return ImageSet(folder, tuple(read_image_list(file)), file)


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
