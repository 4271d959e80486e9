"""Multi-scale training under ultralytics: a trainer, and the variable `MVDET_MULTI_SCALE` that asks for it."""

import os
import re
from dataclasses import dataclass
from statistics import fmean
from typing import Any

from ultralytics.engine.model import Model
from ultralytics.models.yolo.detect import DetectionTrainer
from ultralytics.utils import LOGGER, RANK, colorstr
from ultralytics.utils.patches import override_configs

from mvdet.data.samplers import PlannedBatchSampler, SizeBatch, size_batch_pairs
from mvdet.yolo.multi_scale_data import SizedDataset, SteadyBatchSampler, SteadyDataLoader

VARIABLE = "MVDET_MULTI_SCALE"
SMALLEST, LARGEST = 0.625, 1.25
"""The default sizes as shares of `imgsz`: 160 and 320 of 256 (MobileViT, arXiv:2110.02178, section 3.2)."""

_HOW_TO_END = f"without `trainer=` and with {VARIABLE}=0 ultralytics trains as ever"


@dataclass(frozen=True, slots=True)
class SizeRange:
    """Square sizes to draw from, beside `imgsz`.

    Attributes:
        smallest: side in pixels; None takes `SMALLEST` times `imgsz`.
        largest: side in pixels; None takes `LARGEST` times `imgsz`.
        number: how many evenly spaced sizes, both ends among them.
    """

    smallest: int | None = None
    largest: int | None = None
    number: int = 5

    def pairs(self, imgsz: int, batch_size: int, stride: int) -> list[SizeBatch]:
        """The sizes, multiples of the stride, each with the batch that has about the pixels of the base's.

        Args:
            imgsz: the base size, which is among them.
            batch_size: images of one process in a step at the base size.
            stride: the network's largest.

        Raises:
            ValueError: a side is below the stride, or a batch below 1.
        """
        smallest = self.smallest or int(SMALLEST * imgsz)
        largest = self.largest or int(LARGEST * imgsz)
        low, high = (smallest, smallest), (largest, largest)
        try:
            return size_batch_pairs((imgsz, imgsz), batch_size, low, high, self.number, stride)
        except ValueError as error:
            raise ValueError(
                f"{VARIABLE}: no sizes from {smallest} to {largest} with imgsz={imgsz} and batch={batch_size}: {error}"
            ) from error


def requested_range() -> SizeRange | None:
    """What `MVDET_MULTI_SCALE` asks for; None where it is not set, empty or 0.

    Raises:
        ValueError: it is anything but those, 1, SMALLEST,LARGEST or SMALLEST,LARGEST,NUMBER.
    """
    value = os.environ.get(VARIABLE, "").strip()
    if value in ("", "0"):
        return None
    if value == "1":
        return SizeRange()
    found = re.fullmatch(r"(\d+),(\d+)(?:,(\d+))?", value, re.ASCII)
    sides = [int(number) for number in found.groups() if number] if found else []
    if not sides or min(sides) < 1 or sides[0] > sides[1]:
        raise ValueError(
            f"the environment variable {VARIABLE} must be 0 (off), 1 (sizes from {SMALLEST} to {LARGEST} times imgsz), "
            f"SMALLEST,LARGEST or SMALLEST,LARGEST,NUMBER in pixels, as in 320,800,5, got {value!r}"
        )
    return SizeRange(*sides)


class MultiScaleDetectionTrainer(DetectionTrainer):
    """ultralytics' detection trainer, for MobileViT and stock models, with a size drawn for every step.

    `imgsz` and `batch` are the base. At another size the batch has as many images as have about the same number of
    pixels, so memory stays what it is and small images come in larger batches (MobileViT, arXiv:2110.02178, section
    3.2), where ultralytics' `multi_scale` only stretches a batch that is made. Samples are made at their size by
    ultralytics' own augmentations, mosaic included; validation is at `imgsz`.

    `MVDET_MULTI_SCALE` says which sizes, see `mvdet.yolo.multi_scale.requested_range`; without it they are the default.
    Set to anything but 0, it makes this the trainer of the `yolo` command and of `YOLO.train`. A run that is resumed
    needs it again, as it needs `trainer=` again.

    Losses are sums over images, as in ultralytics, so an image counts the same in a small batch and in a large one.
    Gradients are accumulated over as many steps as have `nbs` images on average.

    Raises:
        ValueError: the task is not detection; `rect` or `multi_scale` is on too; `MVDET_MULTI_SCALE` is malformed or
            its sizes do not fit the network.

    Example:
        >>> YOLO("mvdet/cfg/yolov5-mobilevit-xs.yaml").train(trainer=MultiScaleDetectionTrainer, data="my_data.yaml")
    """

    accumulate: int

    def check_resume(self, overrides: dict[str, Any]) -> None:
        """Check the settings too: this is where ultralytics has all of them and nothing is made yet."""
        super().check_resume(overrides)
        self.size_range = requested_range() or SizeRange()
        if self.args.task not in (None, "detect"):
            raise ValueError(f"multi-scale training is for the task 'detect', got {self.args.task!r}; {_HOW_TO_END}")
        for name in ("rect", "multi_scale"):
            if getattr(self.args, name):
                raise ValueError(
                    f"{name}={getattr(self.args, name)} cannot be combined with multi-scale training, which decides "
                    f"the shapes of images itself: leave {name} out, or else {_HOW_TO_END}"
                )

    def build_dataset(self, img_path: str, mode: str = "train", batch: int = 16) -> Any:
        """Ultralytics' data set; for training, one that is asked for `(height, width, index)`."""
        if mode != "train":
            return super().build_dataset(img_path, mode, batch)
        pairs = self.size_range.pairs(self.args.imgsz, batch, self.stride)
        with override_configs(self.args, {"imgsz": pairs[-1].height}):  # what images in memory are kept at
            dataset = super().build_dataset(img_path, mode, batch)
        return SizedDataset(dataset, pairs, self.args)

    def get_dataloader(self, dataset_path: str, batch_size: int = 16, rank: int = 0, mode: str = "train") -> Any:
        """Ultralytics' loader; for training, one that follows the sampler's plan."""
        loader = super().get_dataloader(dataset_path, batch_size, rank, mode)
        if mode != "train":
            return loader
        plan = PlannedBatchSampler(
            len(loader.dataset),
            loader.dataset.pairs,
            shuffle=True,
            seed=self.args.seed,
            num_replicas=1 if rank == -1 else None,
            rank=0 if rank == -1 else None,
            min_batch_size=2,
            settings={},
        )
        sampler = SteadyBatchSampler(plan)
        if RANK in {-1, 0}:
            pairs = ", ".join(f"{pair.batch_size} of {pair.height}" for pair in plan.pairs)
            LOGGER.info(f"{colorstr('multi-scale:')} images in a step {pairs}; {len(sampler)} steps in an epoch")
        return SteadyDataLoader(loader, sampler, batch_size)

    def _build_train_pipeline(self) -> None:
        super()._build_train_pipeline()
        # What ultralytics derives from the batch size is derived again, from the mean over the sizes.
        nominal = self.batch_size * self.accumulate
        pairs = self.train_loader.dataset.pairs
        batch = fmean(pair.batch_size for pair in pairs) * max(self.world_size, 1)
        self.accumulate = max(round(self.args.nbs / batch), 1)
        if not self.args.time:
            self.accumulate = min(self.accumulate, len(self.train_loader) * self.epochs)
        for group in self.optimizer.param_groups:
            if group.get("param_group") in {"weight", "muon"}:
                group["weight_decay"] *= batch * self.accumulate / nominal

    def _model_train(self) -> None:
        super()._model_train()
        self.train_loader.sampler.set_epoch(self.epoch)  # ultralytics does it with several processes only


def trainer_for(model: Model) -> type[MultiScaleDetectionTrainer]:
    """The trainer of a model of ultralytics' while `MVDET_MULTI_SCALE` is set.

    Raises:
        ValueError: it is not a detection model of `YOLO`.
    """
    stock = model._smart_load("trainer")
    if stock is not DetectionTrainer:
        raise ValueError(
            f"{VARIABLE} is for the detection models of YOLO, got {type(model).__name__} for the task {model.task!r}, "
            f"whose trainer is {stock.__name__}; {VARIABLE}=0 trains it as ever"
        )
    return MultiScaleDetectionTrainer
