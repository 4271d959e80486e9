"""Read PASCAL VOC annotation files, and the dialects of it that annotation tools write.

VOC counts pixels from 1 and includes the last one: xmin = 1 is the first column, xmin = xmax is one pixel wide.
`VocObject.edges` turns that into pixel edges, xyxy from 0, which is what everything else in mvdet uses.
"""

import math
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from xml.etree import ElementTree

from mvdet.data.io.boxes import Box, box_fault, clip_box
from mvdet.data.io.faults import BadItemError, Fault, Remark
from mvdet.data.io.text import decode, guess_remark

_DECLARATION = re.compile(rb"""^\s*<\?xml[^>]*?encoding\s*=\s*["']([\w.:-]+)["']""")
_SIDES = ("xmin", "ymin", "xmax", "ymax")
_FLAGS = {"": False, "0": False, "1": True, "false": False, "true": True, "no": False, "yes": True}
_MAX_SIDE = 2**31 - 1


@dataclass(frozen=True)
class VocObject:
    """One `<object>`.

    Attributes:
        name: the class, as written.
        box: `(xmin, ymin, xmax, ymax)` as written: 1-based, the last pixel included. Of a polygon or a rotated box, the
            upright one around it.
        difficult: as written; False where the file does not say, or says neither 0 nor 1.
        number: which object of the file it is, from 1.
    """

    name: str
    box: Box
    difficult: bool = False
    number: int = field(default=1, compare=False)

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
        width, height: of the image in pixels, as written; 0 where the file does not say, or not as whole numbers.
        objects: those that have a name and a box, in the file's order.
        faults: the others: the reason, and the place with what is wrong.
        remarks: what is to be said of the file and of objects that are used.
    """

    file: Path
    filename: str
    width: int
    height: int
    objects: tuple[VocObject, ...]
    faults: tuple[tuple[Fault, str], ...] = ()
    remarks: tuple[tuple[Remark, str], ...] = ()

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
    """Read one VOC XML file, in any encoding that it declares or that `mvdet.data.io.text.decode` finds.

    Coordinates may have decimals, with a point or a comma; in place of `<bndbox>` there may be a `<polygon>` or a
    `<robndbox>` (cx, cy, w, h, angle in radians). What to do with a box that has no area or leaves the image is the
    caller's choice. Fields that are not named here are not looked at.

    Raises:
        FileNotFoundError: no such file.
        BadItemError: not an annotation: the message names the file and what is wrong.
    """
    file = Path(file)
    root, guess = _parse(file.read_bytes(), file)
    for element in root.iter():
        _, _, element.tag = element.tag.rpartition("}")  # of a namespace
    if root.tag != "annotation":
        raise _unreadable(file, f"the outermost element must be <annotation>, got <{root.tag}>")
    objects, faults = [], []
    remarks = [] if guess is None else [(Remark.GUESSED_ENCODING, f"{file}: {guess}")]
    for number, element in enumerate(root.findall("object"), 1):
        where = f"{file}: object {number}"
        try:
            item, said = _read_object(element, number, where)
        except BadItemError as error:
            faults.append((error.fault, str(error)))
            continue
        objects.append(item)
        remarks += said
    filename = (root.findtext("filename") or "").strip()
    width, height = _size(root)
    return VocAnnotation(file, filename, width, height, tuple(objects), tuple(faults), tuple(remarks))


def _parse(data: bytes, file: Path) -> tuple[ElementTree.Element, str | None]:
    """The outermost element, and what is to be said of an encoding that was guessed."""
    if not data.strip():
        raise _unreadable(file, "the file is empty")
    declaration = _DECLARATION.match(data)
    first: Exception | None = None
    if declaration or data.isascii():  # what else is UTF-8 for expat may be GB2312
        try:
            return ElementTree.fromstring(data), None
        except (ElementTree.ParseError, ValueError, LookupError) as error:  # the last two: encodings that expat lacks
            first = error
    try:
        decoded = decode(data, file, declaration[1].decode("ascii") if declaration else None)
        root = ElementTree.fromstring(decoded.text.lstrip())
    except (ElementTree.ParseError, ValueError) as error:
        what = error if str(error).startswith(f"{file}:") else f"not well-formed XML: {first or error}"
        raise _unreadable(file, str(what).removeprefix(f"{file}: ")) from error
    return root, guess_remark(decoded) if decoded.guessed else None


def _unreadable(file: Path, problem: str) -> BadItemError:
    return BadItemError(Fault.UNREADABLE_ANNOTATION, f"{file}: {problem}")


def _read_object(element: ElementTree.Element, number: int, where: str) -> tuple[VocObject, list[tuple[Remark, str]]]:
    """An object, and what is to be said of it; raises BadItemError."""
    name = (element.findtext("name") or "").strip()
    if not name:
        raise BadItemError(Fault.NO_NAME, f"{where}: <name> is missing or empty")
    remarks = []
    kind = next((tag for tag in _BOXES if element.find(tag) is not None), "bndbox")
    box = _BOXES[kind](element, where)
    if kind != "bndbox":
        remarks.append((Remark.ENCLOSING_BOX, f"{where}: <{kind}>"))
    flag = (element.findtext("difficult") or "").strip()
    if flag.lower() not in _FLAGS:
        remarks.append((Remark.UNKNOWN_DIFFICULT, f"{where}: {flag!r}"))
    return VocObject(name, box, _FLAGS.get(flag.lower(), False), number), remarks


def _bndbox(element: ElementTree.Element, where: str) -> Box:
    xmin, ymin, xmax, ymax = (_number(element, f"bndbox/{side}", where) for side in _SIDES)
    return xmin, ymin, xmax, ymax


def _polygon(element: ElementTree.Element, where: str) -> Box:
    """Points are `<pt><x/><y/></pt>`, or `<x1/><y1/><x2/><y2/>` and so on."""
    xs, ys = (
        [
            _as_number(item.text, f"polygon/{item.tag}", where)
            for item in element.iterfind("polygon//*")
            if item.tag[:1] == axis and (item.tag[1:].isdigit() or len(item.tag) == 1)
        ]
        for axis in "xy"
    )
    if len(xs) < 2 or len(xs) != len(ys):
        raise BadItemError(Fault.NOT_A_BOX, f"{where}: <polygon> has {len(xs)} x and {len(ys)} y, it needs points")
    return min(xs), min(ys), max(xs), max(ys)


def _robndbox(element: ElementTree.Element, where: str) -> Box:
    cx, cy, w, h, angle = (_number(element, f"robndbox/{key}", where) for key in ("cx", "cy", "w", "h", "angle"))
    across = (abs(w * math.cos(angle)) + abs(h * math.sin(angle))) / 2
    down = (abs(w * math.sin(angle)) + abs(h * math.cos(angle))) / 2
    return cx - across + 1, cy - down + 1, cx + across, cy + down


_BOXES: dict[str, Callable[[ElementTree.Element, str], Box]] = {
    "bndbox": _bndbox,
    "robndbox": _robndbox,
    "polygon": _polygon,
}
"""What an object's box is read from, by the element that it has; the first of them counts."""


def _number(element: ElementTree.Element, path: str, where: str) -> float:
    return _as_number(element.findtext(path), path, where)


def _as_number(text: str | None, path: str, where: str) -> float:
    if text is None:
        raise BadItemError(Fault.NOT_A_BOX, f"{where}: <{path}> is missing")
    value = _parsed(text)
    if value is None:
        raise BadItemError(Fault.NOT_A_BOX, f"{where}: <{path}> must be a finite number, got {text[:40]!r}")
    return value


def _parsed(text: str) -> float | None:
    """A finite number, with a decimal point or comma."""
    try:
        value = float(text.replace(",", "."))
    except ValueError:
        return None
    return value if math.isfinite(value) else None


def _size(root: ElementTree.Element) -> tuple[int, int]:
    sides = [_parsed(root.findtext(f"size/{key}") or "") or 0 for key in ("width", "height")]
    if any(side != int(side) or not 1 <= side <= _MAX_SIDE for side in sides):
        return 0, 0
    return int(sides[0]), int(sides[1])
