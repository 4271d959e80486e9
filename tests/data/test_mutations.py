"""Data sets with one thing or two wrong: they are read, with a report, or refused in one line that names a file.

`MVDET_MUTATIONS=200` tries so many of each format; the seeds of those that fail are named.
"""

import json
import os
import random
import re
import shutil
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from mvdet.data.datasets.coco import CocoDetection
from mvdet.data.datasets.drawn import DrawnDetection
from mvdet.data.datasets.masks import FolderSegmentation
from mvdet.data.datasets.voc import VocDetection
from mvdet.data.datasets.yolo import YoloDetection
from mvdet.data.io.masks import write_mask
from mvdet.data.recognition import recognise

COUNT = int(os.environ.get("MVDET_MUTATIONS", "40"))

NAMES = [f"img {n}" if n == 3 else f"img{n}" for n in range(6)]
CLASSES = ("cat", "Größe", "狗")
SIZE = (64, 48)
JUNK: list[Any] = [
    None,
    "",
    "x",
    "12",
    "1,5",
    -1,
    0,
    1e30,
    10**400,
    0.5,
    True,
    [],
    {},
    [1, 2],
    {"a": 1},
    "\0",
    "犬" * 50,
]
ENCODINGS = ("utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "utf-32", "gb18030", "shift_jis", "cp1252", "big5")


def save_picture(file: Path, n: int) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.random.default_rng(n).integers(0, 256, (SIZE[1], SIZE[0], 3), dtype=np.uint8)
    Image.fromarray(pixels).save(file)


def boxes_of(n: int) -> list[tuple[int, int, int, int]]:
    return [(1 + n, 2 + k, 20 + n + k, 30 + k) for k in range(n % 3 + 1)]


def build_voc(root: Path) -> None:
    for n, name in enumerate(NAMES):
        save_picture(root / f"JPEGImages/{name}.jpg", n)
        objects = "".join(
            f"<object>\n<name>{CLASSES[k]}</name>\n<pose>Left</pose>\n<truncated>0</truncated>\n"
            f"<difficult>{n % 2}</difficult>\n<bndbox>\n<xmin>{x1}</xmin>\n<ymin>{y1}</ymin>\n<xmax>{x2}</xmax>\n"
            f"<ymax>{y2}</ymax>\n</bndbox>\n</object>\n"
            for k, (x1, y1, x2, y2) in enumerate(boxes_of(n))
        )
        size = f"<size>\n<width>{SIZE[0]}</width>\n<height>{SIZE[1]}</height>\n<depth>3</depth>\n</size>\n"
        xml = f"<annotation>\n<filename>{name}.jpg</filename>\n{size}{objects}</annotation>\n"
        declaration = '<?xml version="1.0" encoding="utf-8"?>\n' if n % 2 else ""
        (root / "Annotations").mkdir(exist_ok=True)
        (root / f"Annotations/{name}.xml").write_text(declaration + xml, encoding="utf-8")
    (root / "ImageSets/Main").mkdir(parents=True)
    (root / "ImageSets/Main/train.txt").write_text("".join(f"{name}\n" for name in NAMES), encoding="utf-8")


def build_coco(root: Path) -> None:
    images, annotations = [], []
    for n, name in enumerate(NAMES):
        save_picture(root / f"images/{name}.png", n)
        images.append({"id": n + 2**40, "file_name": f"{name}.png", "width": SIZE[0], "height": SIZE[1]})
        for k, (x1, y1, x2, y2) in enumerate(boxes_of(n)):
            box = [x1, y1, x2 - x1, y2 - y1]
            ids = {"id": len(annotations), "image_id": n + 2**40, "category_id": 3 * k}
            annotations.append(ids | {"bbox": box, "area": box[2] * box[3], "iscrowd": 0, "segmentation": []})
    categories = [{"id": 3 * k, "name": name} for k, name in enumerate(CLASSES)]
    content = {"info": {}, "images": images, "annotations": annotations, "categories": categories}
    (root / "instances.json").write_text(json.dumps(content, ensure_ascii=False, indent=0), encoding="utf-8")


def build_masks(root: Path) -> None:
    for n, name in enumerate(NAMES):
        save_picture(root / f"images/{name}.jpg", n)
        values = np.random.default_rng(n).integers(0, 3, (SIZE[1], SIZE[0]), dtype=np.uint8)
        (root / "masks").mkdir(exist_ok=True)
        write_mask(root / f"masks/{name}.png", values)
    (root / "classes.txt").write_text("".join(f"{name}\n" for name in CLASSES), encoding="utf-8")


def build_yolo(root: Path) -> None:
    width, height = SIZE
    for n, name in enumerate(NAMES):
        save_picture(root / f"images/{name}.jpg", n)
        rows = []
        for label, (x1, y1, x2, y2) in enumerate(boxes_of(n)):
            corners = [x1, y1, x2, y1, x2, y2, x1, y2]
            values = corners if n % 2 else [(x1 + x2) / 2, (y1 + y2) / 2, x2 - x1, y2 - y1]
            shares = [f"{value / (height if at % 2 else width):.6f}" for at, value in enumerate(values)]
            rows.append(" ".join([str(label), *shares]))
        (root / "labels").mkdir(exist_ok=True)
        (root / f"labels/{name}.txt").write_text("".join(f"{row}\n" for row in rows))
    (root / "train.txt").write_text("".join(f"./images/{name}.jpg\n" for name in NAMES), encoding="utf-8")
    names = "".join(f"  {number}: {name}\n" for number, name in enumerate(CLASSES))
    (root / "data.yaml").write_text(f"path: .\ntrain: train.txt\nval: train.txt\nnames:\n{names}", encoding="utf-8")


def build_labelme(root: Path) -> None:
    for n, name in enumerate(NAMES):
        save_picture(root / f"{name}.jpg", n)
        shapes = [
            {"label": CLASSES[k], "points": [[x1, y1], [x2, y2]], "shape_type": "rectangle", "flags": {}}
            for k, (x1, y1, x2, y2) in enumerate(boxes_of(n))
        ]
        content = {"version": "5.4.1", "shapes": shapes, "imagePath": f"{name}.jpg", "imageData": None}
        content |= {"imageWidth": SIZE[0], "imageHeight": SIZE[1]}
        (root / f"{name}.json").write_text(json.dumps(content, ensure_ascii=False, indent=0), encoding="utf-8")


def build_via(root: Path) -> None:
    content = {}
    for n, name in enumerate(NAMES):
        save_picture(root / f"{name}.jpg", n)
        regions = [
            {
                "shape_attributes": {"name": "rect", "x": x1, "y": y1, "width": x2 - x1, "height": y2 - y1},
                "region_attributes": {"class": CLASSES[k]},
            }
            for k, (x1, y1, x2, y2) in enumerate(boxes_of(n))
        ]
        content[f"{name}.jpg123"] = {"filename": f"{name}.jpg", "size": 123, "regions": regions}
    (root / "via_region_data.json").write_text(json.dumps(content, ensure_ascii=False, indent=0), encoding="utf-8")


def load_voc(root: Path, **options: Any) -> VocDetection:
    return VocDetection(root, "train", class_names=None, **options)


def load_coco(root: Path, **options: Any) -> CocoDetection:
    return CocoDetection(root / "instances.json", root / "images", **options)


def load_masks(root: Path, **options: Any) -> FolderSegmentation:
    return FolderSegmentation(root / "images", root / "masks", root / "classes.txt", **options)


def load_yolo(root: Path, **options: Any) -> YoloDetection:
    found = recognise(root, "detection", "yolo")
    return YoloDetection(found.places(["train"]), found.class_names or (), **options)


def load_drawn(data_format: str, root: Path, **options: Any) -> DrawnDetection:
    found = recognise(root, "detection", data_format)
    return DrawnDetection(found.places(found.train), data_format, **options)


@dataclass(frozen=True)
class Format:
    """A data set: how it is written and read, and the files with its annotations."""

    build: Callable[[Path], None]
    load: Callable[..., Any]
    annotations: str


FORMATS = {
    "voc": Format(build_voc, load_voc, "Annotations/*.xml"),
    "coco": Format(build_coco, load_coco, "*.json"),
    "masks": Format(build_masks, load_masks, "masks/*.png"),
    "yolo": Format(build_yolo, load_yolo, "labels/*.txt"),
    "labelme": Format(build_labelme, partial(load_drawn, "labelme"), "*.json"),
    "via": Format(build_via, partial(load_drawn, "via"), "*.json"),
}
"""A format more is a row more; mutations go by the suffix of the file, see `OF_KIND`."""


# Mutations: each changes the folder and says whether a set may become smaller by it without a fault being there


def change_bytes(file: Path, draw: random.Random) -> bool:
    data = bytearray(file.read_bytes())
    for _ in range(draw.choice((1, 5, 50)) if data else 0):
        data[draw.randrange(len(data))] = draw.randrange(256)
    file.write_bytes(data)
    return file.suffix in (".txt", ".json", ".xml", ".yaml")


def cut(file: Path, draw: random.Random) -> bool:
    data = file.read_bytes()
    file.write_bytes(data[: draw.randrange(len(data)) if data else 0])
    return file.suffix == ".txt"


def replace_content(file: Path, draw: random.Random) -> bool:
    file.write_bytes(
        draw.choice((b"", b" \n", b"\0" * 100, b"<html></html>", b"[]", b"{}", b"null", bytes(range(256))))
    )
    return file.suffix == ".txt"


def remove(file: Path, draw: random.Random) -> bool:
    file.unlink()
    return False


def rename(file: Path, draw: random.Random) -> bool:
    file.rename(file.with_name(draw.choice((f"{file.name}.bak", f"new {file.name}", f".{file.name}", "img1.png"))))
    return True


def swap(file: Path, draw: random.Random) -> bool:
    other = draw.choice(sorted(file.parent.glob("*.*")))
    mine, others = file.read_bytes(), other.read_bytes()
    file.write_bytes(others)
    other.write_bytes(mine)
    return True


def litter(file: Path, draw: random.Random) -> bool:
    folder = file.parent / draw.choice((".ipynb_checkpoints", "__MACOSX"))
    folder.mkdir(exist_ok=True)
    shutil.copy(file, folder / file.name)
    (file.parent / f"._{file.name}").write_bytes(b"\0\5\x16\7")
    return False


def encode(file: Path, draw: random.Random) -> bool:
    text = file.read_bytes().decode("utf-8", "ignore")
    file.write_bytes(text.encode(draw.choice(ENCODINGS), "replace"))
    return True  # what an encoding does not hold is gone


def change_xml(file: Path, draw: random.Random) -> bool:
    text = file.read_bytes().decode("utf-8", "ignore")
    elements = list(re.finditer(r"<(\w+)>([^<]*)</\1>\n", text))
    if not elements:
        return True
    one = draw.choice(elements)
    tag, value = one[1], one[2]
    kind = draw.choice(("drop", "junk", "scale", "rename", "double", "container"))
    new = one[0]
    if kind == "drop":
        new = ""
    elif kind == "junk":
        new = f"<{tag}>{draw.choice([*JUNK, '0', 'Unspecified', 'nan', '1e999', '&lt;', '&bomb;'])}</{tag}>\n"
    elif kind == "scale" and value.isdigit():
        new = f"<{tag}>{int(value) * draw.choice((-1, 1000, 0.01, 1e300, 0))}</{tag}>\n"
    elif kind == "rename":
        new = one[0].replace(tag, draw.choice(("x", "ns:x", "bndbox", "object", "size", "polygon")))
    elif kind == "double":
        new = one[0] * 2
    text = text[: one.start()] + new + text[one.end() :]
    if kind == "container":
        tag = draw.choice(("size", "object", "bndbox", "annotation"))
        text = re.sub(rf"</?{tag}>\n", draw.choice(("", f"<{tag}2>\n")), text, count=draw.choice((0, 1)))
    file.write_text(text.replace("\0", ""), encoding="utf-8")
    return tag in ("object", "bndbox", "annotation") or "object" in new


def change_json(file: Path, draw: random.Random) -> bool:
    try:
        content = json.loads(file.read_bytes())
    except ValueError:
        content = None
    if not isinstance(content, dict):
        return True
    parent, key, shrinks = content, draw.choice(sorted(content) or ["images"]), True
    for _ in range(draw.choice((0, 1, 2, 2, 2, 2, 3))):
        value = parent.get(key) if isinstance(parent, dict) else parent[key]
        if not isinstance(value, dict | list) or not value:
            break
        parent = value
        key = draw.randrange(len(value)) if isinstance(value, list) else draw.choice(sorted(value))
        shrinks = isinstance(parent, list) and parent is not content
    kind = draw.choice(("drop", "junk", "scale", "text", "double"))
    if isinstance(parent, dict) and key not in parent:  # dropped before
        parent[key] = None
    if kind == "drop":
        del parent[key]
    elif kind == "junk":
        parent[key] = draw.choice([*JUNK, 2**64, -(2**63), float("nan"), float("inf")])
    elif kind == "scale" and isinstance(parent[key], int):
        parent[key] *= draw.choice((-1, 1000, 0.01, 10**30, 0))
    elif kind == "text":
        parent[key] = json.dumps(parent[key])
    elif kind == "double" and isinstance(parent, list):
        parent.append(parent[key])
    file.write_text(json.dumps(content), encoding="utf-8")
    return shrinks


def change_lines(file: Path, draw: random.Random) -> bool:
    lines = file.read_bytes().decode("utf-8", "ignore").splitlines()
    if lines:
        at = draw.randrange(len(lines))
        line = lines[at]
        lines[at : at + 1] = draw.choice(
            (
                [],
                [line] * 2,
                [f"{line}.jpg"],
                [f"{line}  -1"],
                [f"JPEGImages\\{line}.jpg"],
                ["../.."],
                ["\0"],
                ["é" * 300],
            )
        )
    file.write_text("\n".join(lines), encoding="utf-8")
    return True


def change_label(file: Path, draw: random.Random) -> bool:
    """Another value, or a value more or fewer, in a row of a label file; the row stays an object, or is reported."""
    lines = file.read_bytes().decode("utf-8", "ignore").splitlines()
    rows = [at for at, line in enumerate(lines) if len(line.split()) > 4]
    if rows:
        words = lines[at := draw.choice(rows)].split()
        place = draw.randrange(len(words))
        kind = draw.choice(("drop", "junk", "scale", "double", "comma", "confidence"))
        if kind == "drop":
            del words[place]
        elif kind == "junk":
            words[place] = str(draw.choice([*JUNK[2:], "nan", "-0.0", "1e999", "7", "0x1"])).replace("\0", "0")
        elif kind == "scale":
            words[place] = str(float(words[place]) * draw.choice((-1, 64, 0.01, 1e300, 0)))
        elif kind == "double":
            words.insert(place, words[place])
        elif kind == "confidence":
            words.append("0.93")
        lines[at] = (", " if kind == "comma" else " ").join(words)
    file.write_text("\n".join(lines), encoding="utf-8")
    return False


def change_yaml(file: Path, draw: random.Random) -> bool:
    lines = file.read_bytes().decode("utf-8", "ignore").splitlines()
    if lines:
        at = draw.randrange(len(lines))
        key, _, value = lines[at].partition(":")
        junk = json.dumps(draw.choice(JUNK))
        lines[at : at + 1] = draw.choice(
            (
                [],
                [lines[at]] * 2,
                [f"{key}: {junk}"],
                [f"{junk}:{value}"],
                [f"{key}:{value}", "nc: 7"],
                [f"\t{lines[at]}"],
                [f"{key}: 2001-99-99"],
                [f"{key}: &a [*a]"],
                [f"{key}: [{value}, {value}]"],
                [f"{key}: !!python/object:os.system {value}"],
                ["[" * 5000],
            )
        )
    file.write_text("\n".join(lines), encoding="utf-8")
    return True


def change_mask(file: Path, draw: random.Random) -> bool:
    with Image.open(file) as picture:
        values = np.asarray(picture.convert("L" if picture.mode != "P" else "P"))
    kind = draw.choice(("scale", "size", "RGB", "RGBA", "LA", "1", "I;16", "JPEG"))
    if kind == "scale":
        Image.fromarray((values * draw.choice((10, 85, 255))).astype(np.uint8)).save(file)
    elif kind == "size":
        Image.fromarray(values[:: draw.choice((1, 2)), ::2]).save(file)
    elif kind == "I;16":
        Image.fromarray(values.astype(np.uint16) * 300).save(file)
    elif kind == "JPEG":
        Image.fromarray(values).save(file, "JPEG")
    else:
        Image.fromarray(values).convert(kind).save(file)
    return False


def change_picture(file: Path, draw: random.Random) -> bool:
    """Another mode, format, size or orientation; none of them makes a picture useless but the size."""
    with Image.open(file) as picture:
        exif = picture.getexif()
        exif[0x0112] = draw.choice((0, 1, 2, 3, 6, 8, 99))
        picture.load()
    kind = draw.choice(("PNG", "JPEG", "WEBP", "GIF", "TIFF", "BMP"))
    mode = draw.choice(("RGB", "L")) if kind in ("JPEG", "WEBP") else draw.choice(("RGB", "L", "P", "1"))
    picture = picture.convert(mode)
    if draw.random() < 0.3:
        picture = picture.resize((draw.choice((1, 48, 128)), draw.choice((1, 64))))
    picture.save(file, kind, exif=exif) if kind not in ("GIF", "BMP") else picture.save(file, kind)
    return False


ANY = (change_bytes, cut, replace_content, remove, rename, swap, litter)
OF_KIND: dict[str, tuple[Callable[[Path, random.Random], bool], ...]] = {
    ".xml": (*ANY, encode, *[change_xml] * 8),
    ".json": (change_bytes, cut, replace_content, remove, encode, *[change_json] * 12),
    ".txt": (*ANY, encode, *[change_lines] * 4, *[change_label] * 4),
    ".yaml": (*ANY, encode, *[change_yaml] * 6),
    ".png": ANY,
    ".jpg": ANY,
}


def mutate(root: Path, pattern: str, draw: random.Random) -> tuple[str, bool]:
    """Changes one to three things; returns what, and whether the set may have become smaller without a fault."""
    done, shrinks = [], False
    for _ in range(draw.choice((1, 1, 2, 3))):
        annotations = [file for file in sorted(root.glob(pattern)) if not file.name.startswith(".")]
        others = [file for file in sorted(root.rglob("*.*")) if file.is_file() and not file.name.startswith("._")]
        file = draw.choice(annotations if annotations and draw.random() < 0.7 else others)
        mutations = list(OF_KIND.get(file.suffix, ANY))
        if file.suffix in (".png", ".jpg"):
            mutations += [change_mask if file in annotations else change_picture] * 5
        mutation = draw.choice(mutations)
        try:
            shrinks |= mutation(file, draw)
        # a picture that an earlier mutation broke, for which ultralytics, if it was imported, asks for a package
        except (OSError, SyntaxError, ImportError):
            continue
        done.append(f"{mutation.__name__} {file.relative_to(root)}")
    return ", ".join(done), shrinks


def outcome(load: Callable[..., Any], root: Path, before: tuple[int, int], *, policy: str, shrinks: bool) -> str:
    """ "clean", "reported" or "refused"; what is neither makes the test fail."""
    try:
        dataset = load(root, train=False, on_bad_data=policy)
        after = size_of(dataset)
        for index in range(len(dataset)):
            dataset[index]
    except (ValueError, FileNotFoundError) as error:
        problem = str(error)
        dataset = None
    if dataset is None:
        first, _, more = problem.partition("\n")
        assert str(root) in first, f"no file is named: {problem}"
        assert not more or "bad items (" in first, f"more than a line: {problem}"
        return "refused"
    bad_data = dataset.bad_data
    if bad_data.counts or bad_data.remarks:
        assert policy == "skip" or not bad_data.counts
        return "reported"
    assert shrinks or after >= before, f"{before} images and objects became {after}, silently"
    return "clean"


def size_of(dataset: Any) -> tuple[int, int]:
    objects = getattr(dataset.records, "objects", ())
    return len(dataset), len(objects)


@pytest.mark.parametrize("name", FORMATS)
def test_mutations(name: str, tmp_path: Path, record_property: Callable[[str, object], None]) -> None:
    one = FORMATS[name]
    one.build(tmp_path / "whole")
    before = size_of(one.load(tmp_path / "whole", train=False, on_bad_data="error"))
    counts: Counter[str] = Counter()
    failures = []
    for seed in range(COUNT):
        root = tmp_path / f"{seed}"
        shutil.copytree(tmp_path / "whole", root)
        what, shrinks = mutate(root, one.annotations, random.Random(f"{name} {seed}"))
        for policy in ("skip", "error"):
            try:
                counts[f"{policy}: {outcome(one.load, root, before, policy=policy, shrinks=shrinks)}"] += 1
            except Exception as error:  # all of them are wanted, with their seeds
                failures.append(f"{name} {seed} ({what}), {policy}: {type(error).__name__}: {error}")
        shutil.rmtree(root)
    record_property("outcomes", dict(counts))
    print(name, dict(sorted(counts.items())))
    assert not failures, "\n".join(failures)
