"""Settings of SSDLite training. The defaults are the paper's (arXiv:2110.02178, appendix; ml-cvnets, ssd_coco)."""

import dataclasses
from pathlib import Path
from typing import Literal

from mvdet.data.bad_data import DEFAULT_POLICY, BadDataPolicy
from mvdet.resources import resource
from mvdet.training.recipe import setting

DataFormat = Literal["shapes", "bccd", "coco", "voc"]


@dataclasses.dataclass(frozen=True)
class SSDLiteRecipe:
    """Every setting of a run; each is a key of a recipe's YAML and a flag of `scripts/train_ssdlite.py`.

    Raises:
        ValueError: for a value out of range; names it.
    """

    # data
    data_format: DataFormat = setting("shapes", "shapes (generated), bccd (downloaded), coco or voc")
    data_root: Path | None = setting(None, "folder of the data set; shapes and bccd have one of their own")
    train_split: tuple[str, ...] = setting(("train",), "split or splits; for voc also YEAR:SPLIT, as VOC2007:trainval")
    val_split: tuple[str, ...] = setting(("val",), "split or splits that the metrics are measured on")
    class_names: tuple[str, ...] | None = setting(None, "classes of a voc data set; none finds them in the files")
    on_bad_data: BadDataPolicy = setting(DEFAULT_POLICY, "error or skip: what to do with unusable images and objects")
    workers: int = setting(2, "processes that load images, for each device")
    # network
    model: str | None = setting(None, "a whole network: torchvision/NAME for one of torchvision's detectors")
    backbone: str = setting("mobilevit_s", "one of mvdet.list_backbones()")
    size: tuple[int, int] = setting((320, 320), "height and width of the images")
    weights: str | None = setting(None, "of the whole detector: published name, file or folder")
    weights_backbone: str | None = setting(None, "of the backbone alone: published name, file or folder")
    head: Literal["load", "skip"] = setting("load", "with weights: load or skip what depends on the number of classes")
    output_stride: int = setting(32, "of the backbone: 8, 16 or 32")
    expand_output: bool = setting(False, "let the head read v1's final 1x1 expansion")
    freeze: bool = setting(False, "do not train the backbone")
    freeze_batch_norm: bool = setting(False, "do not train the backbone's batch normalisation")
    # augmentation
    sample_crop: bool = setting(True, "SSD's random crop")
    photometric: bool = setting(True, "random brightness, contrast, saturation and hue")
    flip: float = setting(0.5, "probability of a horizontal flip")
    zoom_out: bool = setting(False, "SSD's random expansion")
    # optimisation
    epochs: int = setting(200, "passes over the training images")
    batch_size: int = setting(128, "images a step, over all devices together")
    learning_rate: float = setting(9e-4, "the highest one, after the warm-up")
    min_learning_rate: float = setting(1e-6, "the last one, at the end of the cosine")
    warmup_steps: int = setting(500, "steps of the linear warm-up")
    warmup_learning_rate: float = setting(9e-5, "the first one")
    weight_decay: float = setting(0.01, "AdamW's")
    decay_norm_and_bias: bool = setting(True, "decay norms and biases, too, as the published v1 runs do")
    gradient_clip: float = setting(10.0, "largest norm of the gradient; 0 for no limit")
    ema_momentum: float = setting(5e-4, "of the averaged weights, which are evaluated and saved; 0 for none")
    sync_batch_norm: bool = setting(True, "normalise over the batch of all devices together")
    # run
    seed: int = setting(0, "of everything random")
    accelerator: str = setting("auto", "Lightning's: auto, cpu, gpu ...")
    devices: str = setting("auto", "Lightning's: auto, a number, or a list as 0,1")
    num_nodes: int = setting(1, "machines")
    precision: str = setting("32-true", "Lightning's: 32-true, 16-mixed, bf16-mixed ...")
    output: Path | None = setting(None, "folder of the run; none makes a new one in runs/ssdlite")
    resume: str | None = setting(None, "auto, or a checkpoint to go on from")
    evaluate_every: int = setting(1, "epochs between two evaluations")
    checkpoint_every: int = setting(0, "steps between two checkpoints; 0 makes one an epoch")

    def __post_init__(self) -> None:
        for name in ("epochs", "batch_size", "evaluate_every", "num_nodes"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be at least 1, got {getattr(self, name)}")
        for name in ("workers", "warmup_steps", "checkpoint_every", "gradient_clip", "weight_decay", "seed"):
            if getattr(self, name) < 0:
                raise ValueError(f"{name} must be at least 0, got {getattr(self, name)}")
        for name in ("flip", "ema_momentum"):
            if not 0 <= getattr(self, name) <= 1:
                raise ValueError(f"{name} must be between 0 and 1, got {getattr(self, name)}")
        if self.learning_rate <= 0:
            raise ValueError(f"learning_rate must be above 0, got {self.learning_rate}")
        if self.model is not None and (self.weights or self.weights_backbone):
            raise ValueError(f"{self.model} is trained from scratch here, it takes no weights")
        if self.data_format in ("coco", "voc") and self.data_root is None:
            raise ValueError(f"data_format {self.data_format} needs a data_root")


def recipes() -> dict[str, Path]:
    """The recipe that each data format starts from."""
    return {name: resource(f"cfg/recipes/ssdlite_{name}.yaml") for name in ("shapes", "bccd", "coco", "voc")}
