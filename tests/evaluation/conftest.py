"""Ground truth and results that several test modules score, and a detector that is always right."""

import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from mvdet.models.trained import TrainedDetector

REPOSITORY = Path(__file__).parents[2]

Json = dict[str, Any]


@pytest.fixture(scope="session")
def coco_eval() -> Path:
    """The developers' copy of the COCO API's own example: ground truth of 100 images, and results."""
    folder = REPOSITORY.parent / "shared" / "data" / "coco_eval"
    if not folder.is_dir():
        pytest.skip(f"no copy of coco_eval at {folder}")
    return folder


@pytest.fixture
def truth() -> Json:
    """Three images, the last without objects; categories 3, 7 and 90, the last without objects; a crowd of class 7."""
    return {
        "images": [{"id": n, "file_name": f"{n}.png", "width": 200, "height": 100} for n in (5, 2, 9)],
        "categories": [{"id": 7, "name": "dog"}, {"id": 3, "name": "cat"}, {"id": 90, "name": "toothbrush"}],
        "annotations": [
            {"id": 1, "image_id": 5, "category_id": 3, "bbox": [10, 10, 40, 40], "area": 1600, "iscrowd": 0},
            {"id": 2, "image_id": 5, "category_id": 7, "bbox": [100, 10, 50, 50], "area": 2500, "iscrowd": 0},
            {"id": 3, "image_id": 2, "category_id": 7, "bbox": [20, 20, 60, 60], "area": 3600, "iscrowd": 0},
            {"id": 4, "image_id": 2, "category_id": 7, "bbox": [100, 0, 100, 100], "area": 10000, "iscrowd": 1},
        ],
    }


@pytest.fixture
def perfect(truth: Json) -> list[Json]:
    """Every object of `truth` that is no crowd, exactly."""
    return [
        {"image_id": a["image_id"], "category_id": a["category_id"], "bbox": a["bbox"], "score": 0.9 - n / 10}
        for n, a in enumerate(truth["annotations"])
        if not a["iscrowd"]
    ]


@pytest.fixture
def random_case() -> Callable[[int], tuple[Json, list[Json]]]:
    """Made-up ground truth and results by seed: crowds, objects without area, images without objects or detections,
    repeated detections, equal scores, boxes with small whole numbers (so that some IoU are exactly 0.5), and
    `difficult` objects."""

    def make(seed: int) -> tuple[Json, list[Json]]:
        r = random.Random(seed)
        categories = [{"id": n, "name": f"class {n}"} for n in (4, 0, 11, 80)]
        images = [{"id": 3 * n + 1, "file_name": f"{n}.png", "width": 300, "height": 300} for n in range(12)]
        annotations: list[Json] = []
        results: list[Json] = []
        for image in images[:-1]:
            for _ in range(r.randrange(12)):
                box = [r.randrange(200), r.randrange(200), r.choice([0, 4, 20, 60, 100]), r.choice([4, 20, 60, 100])]
                category = r.choice([4, 0, 11])
                annotations.append(
                    {
                        "id": len(annotations) + 1,
                        "image_id": image["id"],
                        "category_id": category,
                        "bbox": box,
                        "area": box[2] * box[3] * r.choice([0.5, 1]),
                        "iscrowd": int(r.random() < 0.1),
                        "difficult": int(r.random() < 0.15),
                    }
                )
                for _ in range(r.choice([0, 1, 1, 2, 3])):
                    shift = r.choice([0, 0, 1, 5, 20])
                    moved = [max(0, value + r.randint(-shift, shift)) for value in box]
                    if r.random() < 0.2:
                        moved[2] = 2 * box[2]
                    found = category if r.random() < 0.8 else r.choice([4, 0, 11, 80])
                    score = round(r.random(), 1)
                    results.append(
                        {"image_id": image["id"], "category_id": found, "bbox": moved, "score": score},
                    )
        results += r.choices(results, k=5)
        return {"images": images, "annotations": annotations, "categories": categories}, results

    return make


class RedDetector(nn.Module):
    """Finds what is red in an image, as one box of label 1, score 0.9; and the same box as label 2, score 0.2."""

    def forward(self, images: Tensor, targets: None = None) -> list[dict[str, Tensor]]:
        found = []
        for image in images:
            rows, columns = torch.nonzero((image[0] > 0.6) & (image[1:].amax(dim=0) < 0.4), as_tuple=True)
            box = torch.stack([columns.min(), rows.min(), columns.max() + 1, rows.max() + 1]).float()
            boxes, labels, scores = torch.stack([box, box]), torch.tensor([1, 2]), torch.tensor([0.9, 0.2])
            found.append({"boxes": boxes, "labels": labels, "scores": scores})
        return found


@pytest.fixture
def red_detector() -> TrainedDetector:
    """Of the classes red and other."""
    return TrainedDetector(RedDetector().eval(), ("red", "other"), (1, 2), (80, 160))


@pytest.fixture(scope="session")
def red_picture() -> Callable[..., NDArray[np.uint8]]:
    """A grey picture [height, width, 3] with a red box (xyxy)."""

    def paint(width: int, height: int, box: tuple[int, int, int, int]) -> NDArray[np.uint8]:
        picture = np.full((height, width, 3), 120, np.uint8)
        x1, y1, x2, y2 = box
        picture[y1:y2, x1:x2] = (255, 0, 0)
        return picture

    return paint
