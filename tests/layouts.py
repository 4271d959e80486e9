"""One small detection data set, written as each tool lays it out."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

from PIL import Image

CLASSES = ("cat", "dog")
Box = tuple[int, int, int, int]


class Picture(NamedTuple):
    """A picture: its split, its size, and its objects as class and xyxy pixel edges."""

    split: str
    width: int
    height: int
    objects: tuple[tuple[str, Box], ...]


PICTURES = {
    "one": Picture("train", 64, 48, (("cat", (0, 0, 20, 30)), ("dog", (21, 7, 64, 48)))),
    "two": Picture("train", 50, 70, (("dog", (1, 2, 4, 69)),)),
    "three": Picture("train", 64, 48, (("cat", (10, 11, 33, 44)),)),
    "four.b": Picture("train", 64, 48, (("dog", (5, 6, 40, 40)), ("dog", (6, 6, 41, 41)))),
    "five": Picture("val", 48, 64, (("cat", (3, 3, 45, 60)),)),
    "six": Picture("val", 64, 64, (("dog", (0, 10, 12, 64)), ("cat", (30, 30, 60, 61)))),
}


def picture_file(folder: Path, stem: str) -> Path:
    """Write a picture, and give its file."""
    folder.mkdir(parents=True, exist_ok=True)
    picture, file = PICTURES[stem], folder / f"{stem}.jpg"
    Image.new("RGB", (picture.width, picture.height), (len(stem) * 20, 90, 30)).save(file)
    return file


def write_text(file: Path, text: str) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text, encoding="utf-8")


def write_json(file: Path, content: Any) -> None:
    write_text(file, json.dumps(content))


def of_split(split: str) -> list[str]:
    return [stem for stem, picture in PICTURES.items() if picture.split == split]


def xml(stem: str) -> str:
    picture = PICTURES[stem]
    objects = "".join(
        f"<object><name>{name}</name><bndbox><xmin>{x1 + 1}</xmin><ymin>{y1 + 1}</ymin><xmax>{x2}</xmax>"
        f"<ymax>{y2}</ymax></bndbox></object>"
        for name, (x1, y1, x2, y2) in picture.objects
    )
    size = f"<size><width>{picture.width}</width><height>{picture.height}</height></size>"
    return f"<annotation><filename>{stem}.jpg</filename>{size}{objects}</annotation>"


def coco(stems: list[str], name_of: Callable[[str], str] = "{}.jpg".format, first_id: int = 1) -> dict[str, Any]:
    """The content of a json file; with `first_id` 0, without a category that only names the group."""
    ids = {name: number for number, name in enumerate(CLASSES, start=first_id)}
    annotations: list[dict[str, Any]] = []
    for image_id, stem in enumerate(stems):
        for name, (x1, y1, x2, y2) in PICTURES[stem].objects:
            box = [x1, y1, x2 - x1, y2 - y1]
            entry = {"id": len(annotations), "image_id": image_id, "category_id": ids[name], "bbox": box}
            annotations.append(entry | {"area": box[2] * box[3], "iscrowd": 0, "segmentation": []})
    images = [
        {"id": n, "file_name": name_of(stem), "width": PICTURES[stem].width, "height": PICTURES[stem].height}
        for n, stem in enumerate(stems)
    ]
    categories = [{"id": number, "name": name, "supercategory": "pets"} for name, number in ids.items()]
    return {"info": {}, "images": images, "annotations": annotations, "categories": categories}


def yolo_rows(stem: str, *, polygons: bool = False) -> str:
    rows = []
    picture = PICTURES[stem]
    for name, (x1, y1, x2, y2) in picture.objects:
        left, top, right, bottom = x1 / picture.width, y1 / picture.height, x2 / picture.width, y2 / picture.height
        box = ((left + right) / 2, (top + bottom) / 2, right - left, bottom - top)
        values = (left, top, right, top, right, bottom, left, bottom) if polygons else box
        rows.append(" ".join([str(CLASSES.index(name)), *(f"{value:.6f}" for value in values)]))
    return "".join(f"{row}\n" for row in rows)


def voc_lists(root: Path) -> None:
    for stem in PICTURES:
        picture_file(root / "JPEGImages", stem)
        write_text(root / f"Annotations/{stem}.xml", xml(stem))
    for split in ("train", "val"):
        write_text(root / f"ImageSets/Main/{split}.txt", "".join(f"{stem}\n" for stem in of_split(split)))


def voc_without_lists(root: Path) -> None:
    voc_lists(root)
    for file in (root / "ImageSets/Main").iterdir():
        file.unlink()


def voc_beside(root: Path) -> None:
    for stem, picture in PICTURES.items():
        folder = root / {"train": "train", "val": "valid"}[picture.split]
        picture_file(folder, stem)
        write_text(folder / f"{stem}.xml", xml(stem))


def voc_beside_in_one_folder(root: Path) -> None:
    for stem in PICTURES:
        picture_file(root, stem)
        write_text(root / f"{stem}.xml", xml(stem))


def voc_folders(root: Path) -> None:
    for stem, picture in PICTURES.items():
        picture_file(root / "images" / picture.split, stem)
        write_text(root / "annotations" / picture.split / f"{stem}.xml", xml(stem))


def voc_flat_annotations(root: Path) -> None:
    for stem, picture in PICTURES.items():
        picture_file(root / "images" / picture.split, stem)
        write_text(root / f"annotations/{stem}.xml", xml(stem))


def coco_own(root: Path) -> None:
    for split in ("train", "val"):
        for stem in of_split(split):
            picture_file(root / f"{split}2017", stem)
        write_json(root / f"annotations/instances_{split}2017.json", coco(of_split(split)))


def coco_roboflow(root: Path) -> None:
    for split, folder in (("train", "train"), ("val", "valid")):
        for stem in of_split(split):
            picture_file(root / folder, stem)
        content = coco(of_split(split))
        content["categories"].insert(0, {"id": 0, "name": "pets", "supercategory": "none"})
        write_json(root / folder / "_annotations.coco.json", content)


def coco_cvat(root: Path) -> None:
    for stem in PICTURES:
        picture_file(root / "images", stem)
    write_json(root / "annotations/instances_default.json", coco(list(PICTURES)))


def coco_label_studio(root: Path) -> None:
    names = {stem: f"images\\{number:08x}-{stem}.jpg" for number, stem in enumerate(PICTURES, start=0x1A2B3C4D)}
    for stem in PICTURES:
        file = picture_file(root / "images", stem)
        file.rename(file.with_name(names[stem].partition("\\")[2]))
    write_json(root / "result.json", coco(list(PICTURES), names.__getitem__, first_id=0))


def labelme(root: Path) -> None:
    for stem, picture in PICTURES.items():
        picture_file(root / picture.split, stem)
        shapes = []
        for number, (name, (x1, y1, x2, y2)) in enumerate(picture.objects):
            polygon = [[x1, y1], [x2, y1], [x2, y2], [x1, y2]]
            points, kind = (polygon, "polygon") if number else ([[x2, y2], [x1, y1]], "rectangle")
            shapes.append({"label": name, "points": points, "shape_type": kind, "group_id": None, "flags": {}})
        content = {"version": "5.4.1", "flags": {}, "shapes": shapes, "imagePath": f"{stem}.jpg", "imageData": None}
        write_json(root / picture.split / f"{stem}.json", content | {"imageHeight": picture.height})


def via(root: Path) -> None:
    for split in ("train", "val"):
        content = {}
        for stem in of_split(split):
            picture_file(root / split, stem)
            regions = []
            for number, (name, (x1, y1, x2, y2)) in enumerate(PICTURES[stem].objects):
                polygon = {"name": "polygon", "all_points_x": [x1, x2, x2, x1], "all_points_y": [y1, y1, y2, y2]}
                rectangle = {"name": "rect", "x": x1, "y": y1, "width": x2 - x1, "height": y2 - y1}
                shape = polygon if number else rectangle
                regions.append({"shape_attributes": shape, "region_attributes": {"class": name}})
            content[f"{stem}.jpg123"] = {"filename": f"{stem}.jpg", "size": 123, "regions": regions}
        write_json(root / split / "via_region_data.json", content)


def yolo(root: Path) -> None:
    for stem, picture in PICTURES.items():
        picture_file(root / "images" / picture.split, stem)
        write_text(root / "labels" / picture.split / f"{stem}.txt", yolo_rows(stem))
    write_text(root / "data.yaml", "path: .\ntrain: images/train\nval: images/val\nnames: {0: cat, 1: dog}\n")


def yolo_lists_of_polygons(root: Path) -> None:
    for stem in PICTURES:
        folder = root / ("a" if len(stem) % 2 else "b")
        picture_file(folder / "images", stem)
        write_text(folder / f"labels/{stem}.txt", yolo_rows(stem, polygons=True))
    for split in ("train", "val"):
        names = (f"./{'a' if len(stem) % 2 else 'b'}/images/{stem}.jpg" for stem in of_split(split))
        write_text(root / f"{split}.txt", "".join(f"{name}\n" for name in names))
    write_text(root / "data.yaml", "train: train.txt\nval: [val.txt]\nnc: 2\nnames: [cat, dog]\n")


def yolo_roboflow(root: Path) -> None:
    for stem, picture in PICTURES.items():
        folder = root / {"train": "train", "val": "valid"}[picture.split]
        picture_file(folder / "images", stem)
        write_text(folder / f"labels/{stem}.txt", yolo_rows(stem))
    text = "train: ../train/images\nval: ../valid/images\ntest: ../test/images\nnc: 2\nnames: ['cat', 'dog']\n"
    write_text(root / "data.yaml", text)


def yolo_with_class_file(root: Path) -> None:
    for stem in PICTURES:
        picture_file(root / "images", stem)
        write_text(root / f"labels/{stem}.txt", yolo_rows(stem))
    write_text(root / "classes.txt", "cat\ndog\n")


SPLIT: dict[str, tuple[str, Callable[[Path], None]]] = {
    "VOC, lists": ("voc", voc_lists),
    "VOC, beside the images": ("voc", voc_beside),
    "VOC, folders": ("voc", voc_folders),
    "VOC, one folder of XML": ("voc", voc_flat_annotations),
    "COCO": ("coco", coco_own),
    "COCO, Roboflow": ("coco", coco_roboflow),
    "labelme": ("labelme", labelme),
    "VIA": ("via", via),
    "YOLO, folders": ("yolo", yolo),
    "YOLO, lists of polygons": ("yolo", yolo_lists_of_polygons),
    "YOLO, Roboflow": ("yolo", yolo_roboflow),
}
"""Layouts with a training and a validation split: the data format, and what writes one."""

WHOLE: dict[str, tuple[str, Callable[[Path], None]]] = {
    "VOC, no lists": ("voc", voc_without_lists),
    "VOC, one folder": ("voc", voc_beside_in_one_folder),
    "COCO, CVAT": ("coco", coco_cvat),
    "COCO, Label Studio": ("coco", coco_label_studio),
    "YOLO, a file of classes": ("yolo", yolo_with_class_file),
}
"""Layouts without splits."""
