"""Settings of classifier training. The defaults are MobileViT's (arXiv:2110.02178, section 4.1; ml-cvnets)."""

import dataclasses
from pathlib import Path
from typing import Literal

from mvdet.data.classification_transforms import Interpolation
from mvdet.resources import resource
from mvdet.training.base_recipe import TrainingRecipe
from mvdet.training.recipe import setting

DataFormat = Literal["shapes", "folder"]


@dataclasses.dataclass(frozen=True)
class ClassificationRecipe(TrainingRecipe):
    """Every setting of a run; each is a key of a recipe's YAML and a flag of `scripts/train_classifier.py`.

    Raises:
        ValueError: for a value out of range; names it.
    """

    # data
    data_format: DataFormat = setting("shapes", "shapes (generated) or folder (ROOT/SPLIT/CLASS/IMAGE, as ImageNet)")
    train_split: str = setting("train", "folder of the training images")
    val_split: str = setting("val", "folder of the validation images")
    size: tuple[int, int] = setting((256, 256), "height and width of the images")
    interpolation: Interpolation = setting("bilinear", "of every resize: bilinear or bicubic")
    # network
    dropout: float | None = setting(None, "before the classifier; none takes the published one")
    # augmentation
    crop_scale: tuple[float, float] = setting((0.08, 1.0), "least and greatest share of a picture that is cut out")
    flip: float = setting(0.5, "probability of a horizontal flip")
    rand_augment: bool = setting(False, "RandAugment, two operations of magnitude 9")
    random_erasing: float = setting(0.0, "probability that a rectangle is blanked")
    mixup: float = setting(0.0, "alpha of mixup; 0 for none. With both, each batch takes one of the two")
    cutmix: float = setting(0.0, "alpha of cutmix; 0 for none")
    # optimisation
    label_smoothing: float = setting(0.1, "share of the target that goes to all classes")
    epochs: int = setting(300, "passes over the training images")
    batch_size: int = setting(1024, "images of `size` a step, over all devices together")
    learning_rate: float = setting(2e-3, "the highest one, after the warm-up")
    min_learning_rate: float = setting(2e-4, "the last one, at the end of the cosine")
    warmup_steps: int = setting(3000, "steps of the linear warm-up")
    warmup_learning_rate: float = setting(2e-4, "the first one")

    def __post_init__(self) -> None:
        TrainingRecipe.__post_init__(self)
        self.check_share("flip", "random_erasing", "label_smoothing", *(["dropout"] if self.dropout else []))
        for name in ("mixup", "cutmix"):
            if getattr(self, name) < 0:
                raise ValueError(f"{name} must be at least 0, got {getattr(self, name)}")
        low, high = self.crop_scale
        if not 0 < low <= high <= 1:
            raise ValueError(f"crop_scale must be (low, high) above 0 and up to 1, got {self.crop_scale}")
        if self.data_format == "folder" and self.data_root is None:
            raise ValueError("data_format folder needs a data_root")


def recipes() -> dict[str, Path]:
    """The recipe that each data format starts from."""
    names = {"shapes": "classifier_shapes", "folder": "mobilevit_imagenet"}
    return {name: resource(f"cfg/recipes/{file}.yaml") for name, file in names.items()}
