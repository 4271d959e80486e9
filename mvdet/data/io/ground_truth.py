"""Images, classes and objects as they were annotated and checked: the truth that detections are judged by."""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from mvdet.data.io.boxes import Box
from mvdet.data.io.coco_masks import mask_problem


@dataclass(frozen=True, slots=True)
class CocoImage:
    """One entry of `images`.

    Attributes:
        id: any whole number.
        file_name: relative to the image folder; empty where the json does not say.
        width: in pixels; None where the json does not say.
        height: in pixels; None where the json does not say.
    """

    id: int
    file_name: str
    width: int | None
    height: int | None


@dataclass(frozen=True, slots=True)
class GroundTruthObject:
    """One entry of `annotations`.

    Attributes:
        image_id: as in the json.
        category_id: as in the json.
        box_xywh: left, top, width, height in pixels; a width or height of 0 is allowed (no detection can hit it).
        area: of the object in square pixels, which decides what is small, medium or large; of the box where the json
            does not say.
        crowd: `iscrowd`: a region with many objects, neither found nor missed.
        difficult: VOC's flag, which a COCO json may carry as `difficult`; neither found nor missed in VOC AP and in the
            list of mistakes. The COCO numbers know no such flag and count the object.
        segmentation: polygons or run lengths as in the json, or None.
    """

    image_id: int
    category_id: int
    box_xywh: Box
    area: float
    crowd: bool = False
    difficult: bool = False
    segmentation: list[Any] | dict[str, Any] | None = None

    @property
    def counts(self) -> bool:
        """Whether to find or to miss it says anything: neither a crowd nor difficult."""
        return not (self.crowd or self.difficult)


@dataclass(frozen=True)
class GroundTruth:
    """Images, classes and objects, checked: whatever takes one does not check it again.

    Attributes:
        source: the file, or "ground truth" where it came as a dict; for messages.
        images: by id, in the json's order. Of a data set of pictures, ids from 2^63 on are the int64 of the same bits
            here and in the objects, because they go through tensors; `CocoImage.id` is the json's.
        class_names: by category id, ascending. Two categories of one name get their ids into it: `apple (id 0)`.
        objects: in the json's order. Annotation ids are not kept: no metric needs them, and the COCO evaluators take an
            annotation with id 0 for "no match" and one of two with the same id for both.
    """

    source: str
    images: dict[int, CocoImage]
    class_names: dict[int, str]
    objects: tuple[GroundTruthObject, ...]

    def objects_by_image(self) -> dict[int, list[GroundTruthObject]]:
        """The objects of every image, images without objects included."""
        groups: dict[int, list[GroundTruthObject]] = {image_id: [] for image_id in self.images}
        for item in self.objects:
            groups[item.image_id].append(item)
        return groups

    def of_images(self, image_ids: Iterable[int]) -> "GroundTruth":
        """The same without the images that are not named, and without their objects."""
        kept = set(image_ids)
        if kept >= self.images.keys():
            return self
        images = {image_id: image for image_id, image in self.images.items() if image_id in kept}
        objects = tuple(item for item in self.objects if item.image_id in kept)
        return GroundTruth(self.source, images, self.class_names, objects)

    @cached_property
    def mask_fault(self) -> str | None:
        """The first object without a mask that can be compared, with what is wrong; None if all have one."""
        for n, item in enumerate(self.objects):
            image = self.images[item.image_id]
            if problem := mask_problem(item.segmentation, image.height, image.width):
                return f"{self.source}: annotations[{n}]: {problem}"
        return None

    def as_coco(self, *, masks: bool = False) -> dict[str, Any]:
        """The content of a COCO json, for pycocotools or faster-coco-eval; new dicts and lists at every call.

        Annotations are numbered from 1, because pycocotools writes 0 for "no match" (`COCOeval.evaluateImg`) and would
        count the detection of an object with the id 0 as false.

        Args:
            masks: whether the annotations have their `segmentation` too.
        """
        annotations = []
        for n, item in enumerate(self.objects, start=1):
            annotation = {
                "id": n,
                "image_id": item.image_id,
                "category_id": item.category_id,
                "bbox": list(item.box_xywh),
                "area": item.area,
                "iscrowd": int(item.crowd),
            }
            if item.difficult:
                annotation["difficult"] = 1
            if masks:
                annotation["segmentation"] = item.segmentation
            annotations.append(annotation)
        images = [
            {"id": key, "file_name": image.file_name, "width": image.width, "height": image.height}
            for key, image in self.images.items()
        ]
        categories = [{"id": category_id, "name": name} for category_id, name in self.class_names.items()]
        return {"info": {}, "images": images, "annotations": annotations, "categories": categories}


def distinct_names(names: Mapping[int, str]) -> dict[int, str]:
    """Class names by ascending category id; names that occur twice get their ids into them: `apple (id 0)`."""
    uses = Counter(names.values())
    return {key: name if uses[name] == 1 else f"{name} (id {key})" for key, name in sorted(names.items())}
