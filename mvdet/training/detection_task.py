"""Training a detector, for Lightning."""

from typing import Any

from torch import Tensor

from mvdet.data.detection import DetectionDataset, Target
from mvdet.evaluation.coco import evaluate_coco
from mvdet.evaluation.results import Result, merge_ranks, to_results
from mvdet.models.detection_io import build_detector, call_detector, detect
from mvdet.training.detection_data import detection_dataset
from mvdet.training.ssdlite_recipe import SSDLiteRecipe
from mvdet.training.task import TrainingTask

# Settings of a recipe that are arguments of the network.
_MODEL_OPTIONS = ("size", "output_stride", "expand_output", "freeze", "freeze_batch_norm")
_WEIGHTS = ("weights", "weights_backbone", "head")


class DetectionTask(TrainingTask):
    """A detector, its losses and its evaluation by COCO's metrics.

    Args:
        recipe: all settings.
        train: training images.
        val: validation images.
    """

    monitor = "AP"

    def __init__(self, recipe: SSDLiteRecipe, train: DetectionDataset, val: DetectionDataset) -> None:
        description = describe_run(recipe, train)
        name, options = description["model"]["name"], description["model"]["options"]
        weights = {} if recipe.model else {name: getattr(recipe, name) for name in _WEIGHTS}
        model = build_detector(name, len(train.class_names) + 1, options | weights)
        super().__init__(recipe, model, train, val, description)
        self._category_ids = val.category_ids
        self._found: list[tuple[int, list[Result]]] = []
        self._ground_truth = val.coco_ground_truth()

    def training_step(self, batch: tuple[Any, list[Target]], batch_idx: int) -> Tensor:
        """The sum of the detector's losses; raises as `checked_loss`."""
        images, targets = batch
        # Each process divides by the mean number of matched anchors: the mean of theirs is the loss of all images.
        return self.checked_loss(call_detector(self.model, images, targets), [int(t["image_id"]) for t in targets])

    def on_validation_epoch_start(self) -> None:
        """Forget what was found before."""
        self._found = []

    def validation_step(self, batch: tuple[Any, list[Target]], batch_idx: int) -> None:
        """Collect the detections of a batch."""
        images, targets = batch
        sizes = [tuple(target["orig_size"].tolist()) for target in targets]
        for target, detections in zip(targets, detect(self.model, images, sizes), strict=True):
            image_id = int(target["image_id"])
            self._found.append((image_id, to_results(image_id, detections, self._category_ids)))

    def on_validation_epoch_end(self) -> None:
        """COCO's metrics of what all processes found, each image counted once."""
        results = merge_ranks(self.gathered(self._found), [image["id"] for image in self._ground_truth["images"]])
        metrics = evaluate_coco(self._ground_truth, results)
        self.log_metrics({"AP": metrics.AP, "AP50": metrics.AP50, "AP75": metrics.AP75, "AR100": metrics.AR100})


def detection_task(recipe: SSDLiteRecipe) -> DetectionTask:
    """The task of a recipe, with its data; raises as these."""
    return DetectionTask(recipe, detection_dataset(recipe, train=True), detection_dataset(recipe, train=False))


def describe_run(recipe: SSDLiteRecipe, dataset: DetectionDataset) -> dict[str, Any]:
    """What a checkpoint says of itself, in plain types that `weights_only=True` reads."""
    options = {} if recipe.model else {name: getattr(recipe, name) for name in _MODEL_OPTIONS}
    return {
        "recipe": recipe.as_dict(),
        "model": {"name": recipe.model or f"ssdlite_{recipe.backbone}", "options": options, "size": list(recipe.size)},
        "class_names": list(dataset.class_names),
        "category_ids": [int(i) for i in dataset.category_ids],
    }
