"""One training step, one evaluation and the optimiser of a detector, for Lightning."""

import dataclasses
import math
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
import torch
import torch.distributed as dist
from torch import Tensor

from mvdet.data.detection import DetectionDataset, Target
from mvdet.evaluation.coco import evaluate_coco
from mvdet.evaluation.results import Result, merge_ranks, to_results
from mvdet.models.detection_io import build_detector, call_detector, detect
from mvdet.training.detection_data import eval_loader, train_loader
from mvdet.training.schedule import warmup_cosine
from mvdet.training.ssdlite_recipe import SSDLiteRecipe
from mvdet.training.sync_batch_norm import synchronise

# Settings of a recipe that are arguments of the network.
_MODEL_OPTIONS = ("size", "output_stride", "expand_output", "freeze", "freeze_batch_norm")
_WEIGHTS = ("weights", "weights_backbone", "head")


class NonFiniteLossError(RuntimeError):
    """The loss of a training step is NaN or infinite."""


class DetectionTask(pl.LightningModule):
    """A detector, its loss, its data, its optimiser and its evaluation by COCO's metrics.

    Args:
        recipe: all settings.
        train: training images.
        val: validation images.
    """

    def __init__(self, recipe: SSDLiteRecipe, train: DetectionDataset, val: DetectionDataset) -> None:
        super().__init__()
        if train.class_names != val.class_names:
            raise ValueError(f"training classes {train.class_names} differ from validation classes {val.class_names}")
        self.recipe = recipe
        self.train_data = train
        self.val_data = val
        description = describe_run(recipe, train)
        name, options = description["model"]["name"], description["model"]["options"]
        self.model = build_detector(name, len(train.class_names) + 1, options | _weights(recipe))
        self.hparams.update(description)
        self._found: list[tuple[int, list[Result]]] = []
        self._ground_truth = val.coco_ground_truth()

    def setup(self, stage: str) -> None:
        """Lightning's own synchronised batch normalisation needs GPUs; on CPUs it is ours."""
        if self.recipe.sync_batch_norm and self.device.type == "cpu":
            synchronise(self.model)

    def train_dataloader(self) -> Any:
        """Shuffled batches, this process's share of them."""
        return train_loader(
            self.train_data, self.recipe, rank=self.trainer.global_rank, world_size=self.trainer.world_size
        )

    def val_dataloader(self) -> Any:
        """Batches in order, this process's share of them."""
        return eval_loader(
            self.val_data, self.recipe, rank=self.trainer.global_rank, world_size=self.trainer.world_size
        )

    def training_step(self, batch: tuple[Any, list[Target]], batch_idx: int) -> Tensor:
        """The sum of the detector's losses.

        Raises:
            NonFiniteLossError: if it is NaN or infinite; names the step and the images.
        """
        images, targets = batch
        losses = call_detector(self.model, images, targets)
        loss = torch.stack(list(losses.values())).sum()
        if not torch.isfinite(loss):
            ids = [int(target["image_id"]) for target in targets]
            shown = {name: value.item() for name, value in losses.items()}
            raise NonFiniteLossError(f"step {self.global_step}: the loss is not finite: {shown}; image ids {ids}")
        # Each process divides by the mean number of matched anchors: the mean of theirs is the loss of all images.
        logged = {name: value.detach() for name, value in losses.items()}
        self.log_dict(logged, batch_size=len(targets), sync_dist=True)
        self.log("loss", loss.detach(), prog_bar=True, batch_size=len(targets), sync_dist=True)
        self.log("lr", self.trainer.optimizers[0].param_groups[0]["lr"], prog_bar=True)
        return loss

    def on_validation_epoch_start(self) -> None:
        """Forget what was found before."""
        self._found = []

    def validation_step(self, batch: tuple[Any, list[Target]], batch_idx: int) -> None:
        """Collect the detections of a batch."""
        images, targets = batch
        sizes = [tuple(target["orig_size"].tolist()) for target in targets]
        for target, detections in zip(targets, detect(self.model, images, sizes), strict=True):
            image_id = int(target["image_id"])
            self._found.append((image_id, to_results(image_id, detections, self.val_data.category_ids)))

    def on_validation_epoch_end(self) -> None:
        """COCO's metrics of what all processes found, each image counted once."""
        found: list[Any] = [self._found]
        if self.trainer.world_size > 1:
            found = [None] * self.trainer.world_size
            dist.all_gather_object(found, self._found)
        results = merge_ranks(found, [image["id"] for image in self._ground_truth["images"]])
        metrics = evaluate_coco(self._ground_truth, results)
        values = {"AP": metrics.AP, "AP50": metrics.AP50, "AP75": metrics.AP75, "AR100": metrics.AR100}
        numbers = {name: math.nan if value is None else value for name, value in values.items()}
        # every process has computed the same numbers
        self.log_dict(numbers, prog_bar=True, rank_zero_only=False, sync_dist=False)

    def configure_optimizers(self) -> Any:
        """AdamW with a linear warm-up and a cosine, step by step."""
        recipe = self.recipe
        trained = [parameter for parameter in self.parameters() if parameter.requires_grad]
        decayed = [p for p in trained if p.dim() > 1 or recipe.decay_norm_and_bias]
        kept = [p for p in trained if not (p.dim() > 1 or recipe.decay_norm_and_bias)]
        groups: list[dict[str, Any]] = [{"params": decayed}, *([{"params": kept, "weight_decay": 0.0}] if kept else [])]
        optimizer = torch.optim.AdamW(groups, lr=recipe.learning_rate, weight_decay=recipe.weight_decay)
        total = int(self.trainer.estimated_stepping_batches)

        def factor(step: int) -> float:
            return (
                warmup_cosine(
                    step,
                    total,
                    highest=recipe.learning_rate,
                    lowest=recipe.min_learning_rate,
                    warmup_steps=recipe.warmup_steps,
                    warmup_start=recipe.warmup_learning_rate,
                )
                / recipe.learning_rate
            )

        schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, factor)
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}


def describe_run(recipe: SSDLiteRecipe, dataset: DetectionDataset) -> dict[str, Any]:
    """What a checkpoint says of itself, in plain types that `weights_only=True` reads."""
    settings = {
        name: str(value) if isinstance(value, Path) else value for name, value in dataclasses.asdict(recipe).items()
    }
    options = {} if recipe.model else {name: getattr(recipe, name) for name in _MODEL_OPTIONS}
    return {
        "recipe": settings,
        "model": {"name": recipe.model or f"ssdlite_{recipe.backbone}", "options": options, "size": list(recipe.size)},
        "class_names": list(dataset.class_names),
        "category_ids": [int(i) for i in dataset.category_ids],
    }


def _weights(recipe: SSDLiteRecipe) -> dict[str, Any]:
    return {} if recipe.model else {name: getattr(recipe, name) for name in _WEIGHTS}
