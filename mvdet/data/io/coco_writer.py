"""Write COCO instances json."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from mvdet.data.io.coco_masks import mask_polygons
from mvdet.data.io.contours import Instance


class CocoAnnotations:
    """Collects images and objects, and writes them as one COCO json file.

    Args:
        class_names: category i + 1 is `class_names[i]`; COCO counts from 1.
        description: for the file's `info`.
    """

    def __init__(self, class_names: Sequence[str], description: str) -> None:
        self._content: dict[str, list[dict[str, Any]]] = {"images": [], "annotations": []}
        self._head: dict[str, Any] = {
            "info": {"description": description},
            "licenses": [],
            "categories": [{"id": index, "name": name} for index, name in enumerate(class_names, start=1)],
        }

    def add(self, image_id: int, file_name: str, width: int, height: int, instances: Sequence[Instance]) -> None:
        """Add an image and its objects.

        Args:
            image_id: unique in the file.
            file_name: relative to the image folder.
            width: in pixels.
            height: in pixels.
            instances: with masks of [height, width].

        Raises:
            ValueError: a mask has another size, or a label has no category.
        """
        self._content["images"].append({"id": image_id, "file_name": file_name, "width": width, "height": height})
        for instance in instances:
            if instance.mask.shape != (height, width):
                raise ValueError(f"{file_name}: mask of shape {instance.mask.shape}, image of {(height, width)}")
            classes = len(self._head["categories"])
            if not 0 <= instance.label < classes:
                raise ValueError(f"{file_name}: label {instance.label}, allowed are 0 to {classes - 1}")
            x1, y1, x2, y2 = instance.box
            self._content["annotations"].append(
                {
                    "id": len(self._content["annotations"]) + 1,
                    "image_id": image_id,
                    "category_id": instance.label + 1,
                    "bbox": [x1, y1, x2 - x1, y2 - y1],
                    "area": instance.area,
                    "iscrowd": 0,
                    "segmentation": mask_polygons(instance.mask),
                }
            )

    def write(self, file: Path) -> None:
        """Write the json file; its folder must exist."""
        file.write_text(json.dumps(self._head | self._content, separators=(",", ":")), encoding="utf-8")
