"""Read PASCAL VOC annotation files and image lists.

VOC counts pixels from 1 and includes the last one: xmin = 1 is the first column, xmin = xmax is one pixel wide.
`VocObject.edges` turns that into pixel edges, xyxy from 0, which is what everything else in mvdet uses.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from xml.etree import ElementTree


@dataclass(frozen=True)
class VocObject:
    """One `<object>`.

    Attributes:
        name: the class, as written.
        box: `(xmin, ymin, xmax, ymax)` as written: 1-based, the last pixel included.
        difficult, truncated: as written; False where the file does not say.
    """

    name: str
    box: tuple[float, float, float, float]
    difficult: bool = False
    truncated: bool = False

    @property
    def edges(self) -> tuple[float, float, float, float]:
        """The box as pixel edges `(x1, y1, x2, y2)` from 0; `x2 - x1` is the width."""
        xmin, ymin, xmax, ymax = self.box
        return xmin - 1, ymin - 1, xmax, ymax


@dataclass(frozen=True)
class VocAnnotation:
    """One annotation file.

    Attributes:
        file: where it was read.
        filename: of the image, as written; empty where the file does not say.
        width, height: of the image in pixels, as written.
        objects: in the file's order.
    """

    file: Path
    filename: str
    width: int
    height: int
    objects: tuple[VocObject, ...]


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
