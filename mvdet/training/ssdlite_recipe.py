"""Settings of SSDLite training. The defaults are the paper's (arXiv:2110.02178, appendix; ml-cvnets, ssd_coco)."""

import dataclasses
from pathlib import Path
from typing import Literal

from mvdet.data.bad_data import DEFAULT_POLICY, BadDataPolicy
from mvdet.resources import resource
from mvdet.training.base_recipe import TrainingRecipe
from mvdet.training.recipe import setting

DataFormat = Literal["shapes", "bccd", "coco", "voc"]


@dataclasses.dataclass(frozen=True)
class SSDLiteRecipe(TrainingRecipe):
    """Every setting of a run; each is a key of a recipe's YAML and a flag of `scripts/train_ssdlite.py`.

    Raises:
        ValueError: for a value out of range; names it.
    """

    # data
    data_format: DataFormat = setting("shapes", "shapes (generated), bccd (downloaded), coco or voc")
    train_split: tuple[str, ...] = setting(("train",), "split or splits; for voc also YEAR:SPLIT, as VOC2007:trainval")
    val_split: tuple[str, ...] = setting(("val",), "split or splits that the metrics are measured on")
    class_names: tuple[str, ...] | None = setting(None, "classes of a voc data set; none finds them in the files")
    on_bad_data: BadDataPolicy = setting(DEFAULT_POLICY, "error or skip: what to do with unusable images and objects")
    # network
    model: str | None = setting(None, "a whole network: torchvision/NAME for one of torchvision's detectors")
    output_stride: int = setting(32, "of the backbone: 8, 16 or 32")
    expand_output: bool = setting(False, "let the head read v1's final 1x1 expansion")
    # augmentation
    sample_crop: bool = setting(True, "SSD's random crop")
    photometric: bool = setting(True, "random brightness, contrast, saturation and hue")
    flip: float = setting(0.5, "probability of a horizontal flip")
    zoom_out: bool = setting(False, "SSD's random expansion")

    def __post_init__(self) -> None:
        TrainingRecipe.__post_init__(self)
        self.check_share("flip")
        if self.model is not None and (self.weights or self.weights_backbone):
            raise ValueError(f"{self.model} is trained from scratch here, it takes no weights")
        if self.data_format in ("coco", "voc") and self.data_root is None:
            raise ValueError(f"data_format {self.data_format} needs a data_root")


def recipes() -> dict[str, Path]:
    """The recipe that each data format starts from."""
    return {name: resource(f"cfg/recipes/ssdlite_{name}.yaml") for name in ("shapes", "bccd", "coco", "voc")}
