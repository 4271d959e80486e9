"""Settings of DeepLabV3 training. The defaults are MobileViT's (arXiv:2110.02178, section 4.2; ml-cvnets 0.1)."""

import dataclasses
from pathlib import Path
from typing import Literal

from mvdet.data.bad_data import DEFAULT_POLICY, BadDataPolicy
from mvdet.resources import resource
from mvdet.training.base_recipe import TrainingRecipe
from mvdet.training.recipe import setting

DataFormat = Literal["shapes", "voc", "folder"]

_MASK_FOLDER = "SegmentationClass"


@dataclasses.dataclass(frozen=True)
class SegmentationRecipe(TrainingRecipe):
    """Every setting of a run; each is a key of a recipe's YAML and a flag of `scripts/train_deeplabv3.py`.

    Raises:
        ValueError: for a value out of range; names it.
    """

    # data
    data_format: DataFormat = setting("shapes", "shapes (generated), voc or folder (images/SPLIT and masks/SPLIT)")
    train_split: tuple[str, ...] = setting(("train",), "split or splits; for voc also YEAR:SPLIT, as VOC2012:train")
    val_split: tuple[str, ...] = setting(("val",), "split or splits that the metrics are measured on")
    class_names: tuple[str, ...] | None = setting(None, "by class number; none takes VOC's, or DATA_ROOT/classes.txt")
    mask_folder: str = setting(_MASK_FOLDER, "of a voc data set; SegmentationClassAug for SBD's masks")
    on_bad_data: BadDataPolicy = setting(DEFAULT_POLICY, "error or skip: what to do with unusable images and masks")
    size: tuple[int, int] = setting((512, 512), "height and width of the images")
    # network
    output_stride: int = setting(16, "of the backbone: 8, 16 or 32")
    aspp_channels: int | None = setting(None, "of the head; none takes the published ones, 256 in v1 and 512 in v2")
    atrous_rates: tuple[int, int, int] = setting((6, 12, 18), "dilations of the head's 3x3 convolutions")
    aux_loss: float | None = setting(
        None, "weight of the auxiliary head's loss, 0 for no such head; none is as published: 0.4 in v2, 0 in v1"
    )
    # augmentation
    scale: tuple[float, float] = setting((0.5, 2.0), "range of the random size, before the crop")
    photometric: bool = setting(True, "random brightness, contrast, saturation and hue")
    flip: float = setting(0.5, "probability of a horizontal flip")
    # optimisation
    head_learning_rate_factor: float = setting(1.0, "learning rate of the heads, relative to the backbone's")
    epochs: int = setting(50, "passes over the training images")

    def __post_init__(self) -> None:
        TrainingRecipe.__post_init__(self)
        self.check_share("flip")
        if self.head_learning_rate_factor <= 0:
            raise ValueError(f"head_learning_rate_factor must be above 0, got {self.head_learning_rate_factor}")
        if self.aux_loss is not None and self.aux_loss < 0:
            raise ValueError(f"aux_loss must be at least 0, got {self.aux_loss}")
        if not 0 < self.scale[0] <= self.scale[1]:
            raise ValueError(f"scale must be (low, high) above 0, got {self.scale}")
        if self.data_format != "shapes" and self.data_root is None:
            raise ValueError(f"data_format {self.data_format} needs a data_root")
        if self.data_format != "voc" and self.mask_folder != _MASK_FOLDER:
            raise ValueError(f"mask_folder is a voc data set's, got {self.mask_folder} with {self.data_format}")


def recipes() -> dict[str, Path]:
    """The recipe that each data format starts from."""
    return {name: resource(f"cfg/recipes/deeplabv3_{name}.yaml") for name in ("shapes", "voc", "folder")}
