"""Write PASCAL VOC folders: annotation files, palette masks and image lists.

    Annotations/NAME.xml         boxes, 1-based, the last pixel included
    JPEGImages/NAME.jpg          hard links to the images, copies where links are not possible
    SegmentationClass/NAME.png   palette image: 0 background, i + 1 for class i
    SegmentationObject/NAME.png  palette image: 0 background, n for the n-th object of the XML file
    ImageSets/Main/*.txt, ImageSets/Segmentation/*.txt

Unlike VOC's own masks these have no border of 255 (ignore) around objects: they are exact to the pixel.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from xml.etree import ElementTree

import numpy as np

from mvdet.data.files import link_or_copy
from mvdet.data.instances import Instance, class_mask
from mvdet.data.mask_files import voc_palette, write_mask

__all__ = ["VocFolder", "voc_palette"]


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
