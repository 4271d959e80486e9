"""What a model of each task finds in a picture: for json, drawn into a copy, and as a mask."""

import dataclasses
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from mvdet.data.datasets.detection import OBJECT_INDEX
from mvdet.data.transforms import detection as detection_transforms
from mvdet.data.transforms import segmentation as segmentation_transforms
from mvdet.evaluation.predict.drawing import DetectedObject, draw_detections, draw_lines, draw_mask, legend_lines
from mvdet.evaluation.run.classification import classifier_transform, classify_batch, scored_classes
from mvdet.evaluation.run.detection import detect_batch
from mvdet.evaluation.run.segmentation import segment_batch
from mvdet.models.trained import TrainedClassifier, TrainedDetector, TrainedModel, TrainedSegmenter
from mvdet.tasks import CLASSIFICATION, DETECTION, SEGMENTATION

SCORE_THRESHOLD = 0.3
"""The lowest score of a detection that is shown, unless the caller says otherwise."""

Picture = NDArray[np.uint8]
"""[H, W, 3] uint8 RGB."""


@dataclass(frozen=True, slots=True)
class Found:
    """What a model finds in one picture.

    Attributes:
        entry: for json.
        drawn: a copy of the picture that shows it.
        mask: [H, W] class numbers, of segmentation.
        objects: how many there are, of detection.
    """

    entry: dict[str, Any]
    drawn: Picture
    mask: NDArray[np.uint8] | None = None
    objects: int = 0


class Predictor(ABC):
    """A model at work on pictures of any size.

    Args:
        trained: the model; it is moved to the device.
        size: height and width that the model sees.
        device: where the model runs.

    Attributes:
        json_name: the file that holds what was found.
        writes_masks: whether what it finds has a mask.
        settings: for json.
    """

    json_name: ClassVar[str]
    writes_masks: ClassVar[bool] = False

    def __init__(self, trained: TrainedModel, size: tuple[int, int], device: torch.device | str) -> None:
        self.model = trained.model.to(device)
        self.class_names = trained.class_names
        self.device = device
        self.settings: dict[str, Any] = {}

    @abstractmethod
    def find(self, pictures: Sequence[Picture]) -> list[Found]:
        """What the model finds in each picture, in their order."""


class DetectionPredictor(Predictor):
    """Boxes, class names and scores."""

    json_name = "detections.json"

    def __init__(
        self,
        detector: TrainedDetector,
        size: tuple[int, int],
        device: torch.device | str,
        *,
        score_threshold: float = SCORE_THRESHOLD,
    ) -> None:
        if not 0 <= score_threshold <= 1:
            raise ValueError(f"score_threshold must be between 0 and 1, got {score_threshold}")
        super().__init__(detector, size, device)
        self.settings = {"score_threshold": score_threshold}
        self._score_threshold = score_threshold
        self._transform = detection_transforms.eval_transform(*size)

    def find(self, pictures: Sequence[Picture]) -> list[Found]:
        """The detections in each picture that reach the score, drawn into it."""
        prepared = [
            self._transform(image=one, bboxes=np.zeros((0, 4), np.float32), **{OBJECT_INDEX: []})["image"]
            for one in pictures
        ]
        found = detect_batch(self.model, _stacked(prepared), _sizes(pictures), self.device)
        return [self._drawn(picture, one) for picture, one in zip(pictures, found, strict=True)]

    def _drawn(self, picture: Picture, found: dict[str, Tensor]) -> Found:
        boxes, labels, scores = (found[key].cpu().tolist() for key in ("boxes", "labels", "scores"))
        objects = [
            DetectedObject(self.class_names[label - 1], label, round(score, 4), tuple(round(v, 2) for v in box))
            for box, label, score in zip(boxes, labels, scores, strict=True)
            if score >= self._score_threshold
        ]
        entry = {"objects": [dataclasses.asdict(item) for item in objects]}
        return Found(entry, draw_detections(picture, objects), objects=len(objects))


class ClassificationPredictor(Predictor):
    """The five most probable classes, written into the picture."""

    json_name = "classifications.json"

    def __init__(self, classifier: TrainedClassifier, size: tuple[int, int], device: torch.device | str) -> None:
        super().__init__(classifier, size, device)
        self._transform = classifier_transform(classifier, size)(*size)

    def find(self, pictures: Sequence[Picture]) -> list[Found]:
        """The most probable classes of each picture, written into it."""
        # [H, W, 3] each -> [B, 3, height, width]
        images = torch.stack([self._transform(torch.from_numpy(one).permute(2, 0, 1)) for one in pictures])
        classes, scores = classify_batch(self.model, images, self.device)
        found = []
        for picture, best, shares in zip(pictures, classes, scores, strict=True):
            lines = [(None, f"{share:.2f} {self.class_names[n]}") for n, share in zip(best, shares, strict=True)]
            entry = {"classes": scored_classes(best, shares, self.class_names)}
            found.append(Found(entry, draw_lines(picture, lines)))
        return found


class SegmentationPredictor(Predictor):
    """A class for every pixel, laid over the picture with a legend of those that are there."""

    json_name = "segmentations.json"
    writes_masks = True

    def __init__(
        self,
        segmenter: TrainedSegmenter,
        size: tuple[int, int],
        device: torch.device | str,
        *,
        sliding_window: bool = False,
    ) -> None:
        super().__init__(segmenter, size, device)
        self.settings = {"size": size, "sliding_window": sliding_window}
        self._window = size if sliding_window else None
        self._transform = segmentation_transforms.eval_transform(*size)

    def find(self, pictures: Sequence[Picture]) -> list[Found]:
        """The class of every pixel of each picture, and its colours over the picture."""
        if self._window is None:
            images: Tensor | list[Tensor] = _stacked([self._transform(image=one)["image"] for one in pictures])
        else:
            images = [torch.from_numpy(one).permute(2, 0, 1) for one in pictures]
        masks = segment_batch(self.model, images, _sizes(pictures), self.device, window=self._window)
        found = []
        for picture, mask in zip(pictures, masks, strict=True):
            labels = mask.numpy().astype(np.uint8)
            drawn = draw_mask(picture, labels, self.class_names)
            entry = {"classes": self._areas(labels)}
            found.append(Found(entry, draw_lines(drawn, legend_lines(labels, self.class_names)), mask=labels))
        return found

    def _areas(self, labels: NDArray[np.uint8]) -> list[dict[str, Any]]:
        """The classes that are there, with their pixels."""
        numbers, counts = np.unique(labels, return_counts=True)
        return [
            {"label": n, "class_name": self.class_names[n], "pixels": count, "share": round(count / labels.size, 4)}
            for n, count in zip(numbers.tolist(), counts.tolist(), strict=True)
        ]


_PREDICTORS: dict[str, type[Predictor]] = {
    CLASSIFICATION.name: ClassificationPredictor,
    DETECTION.name: DetectionPredictor,
    SEGMENTATION.name: SegmentationPredictor,
}
_OPTIONS = {"score_threshold": DETECTION, "sliding_window": SEGMENTATION}
"""The arguments that one task alone takes."""


def make_predictor(
    trained: TrainedModel,
    *,
    score_threshold: float | None = None,
    sliding_window: bool = False,
    size: tuple[int, int] | None = None,
    device: torch.device | str = "cpu",
) -> Predictor:
    """The predictor for a model's task.

    Args:
        trained: of `mvdet.models.trained.find_model`; its model is moved to the device.
        score_threshold: of a detector: the lowest score, 0 to 1; None takes 0.3.
        sliding_window: of a segmentation network: see `run_segmenter`.
        size: height and width that the model sees; None takes those that it was trained at.
        device: where the model runs.

    Raises:
        ValueError: a threshold out of range, or an argument that is of another task.
    """
    task = trained.task
    options: dict[str, Any] = {} if score_threshold is None else {"score_threshold": score_threshold}
    if sliding_window:
        options["sliding_window"] = True
    for name in options:
        if _OPTIONS[name] is not task:
            raise ValueError(f"{name} is for {_OPTIONS[name].noun}s, the model is a {task.noun}")
    return _PREDICTORS[task.name](trained, size or trained.size, device, **options)


def _stacked(images: Sequence[Picture]) -> Tensor:
    """[H, W, 3] each -> [B, 3, H, W]."""
    return torch.from_numpy(np.stack(images)).permute(0, 3, 1, 2)


def _sizes(pictures: Sequence[Picture]) -> list[tuple[int, int]]:
    return [(picture.shape[0], picture.shape[1]) for picture in pictures]
