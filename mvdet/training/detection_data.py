"""The data sets of a detection run."""

from functools import partial
from pathlib import Path
from typing import Any

from mvdet.data.bccd import find_voc_folder
from mvdet.data.coco import CocoDetection, coco_split
from mvdet.data.detection import DetectionDataset
from mvdet.data.detection_transforms import eval_transform, train_transform
from mvdet.data.record_dataset import TransformFactory
from mvdet.data.shapes import generate
from mvdet.data.voc_detection import VocDetection
from mvdet.data.voc_folder import split_or_image_sets
from mvdet.training.ssdlite_recipe import SSDLiteRecipe


def detection_dataset(recipe: SSDLiteRecipe, *, train: bool, size: tuple[int, int] | None = None) -> DetectionDataset:
    """The training or the validation images of a recipe.

    Args:
        recipe: says which, and how they are augmented.
        train: the training images, augmented.
        size: height and width in place of the recipe's.

    Raises:
        FileNotFoundError, ValueError: as the data sets.
        ConnectionError: BCCD must be downloaded and cannot be.
    """
    splits = recipe.train_split if train else recipe.val_split
    transform: TransformFactory = eval_transform
    if train:
        transform = partial(
            train_transform,
            sample_crop=recipe.sample_crop,
            photometric=recipe.photometric,
            flip=recipe.flip,
            zoom_out=recipe.zoom_out,
        )
    root = _data_root(recipe)
    options: Any = {
        "train": train,
        "on_bad_data": recipe.on_bad_data,
        "transform": transform,
        "size": size or recipe.size,
        "seed": recipe.seed,
    }
    if recipe.data_format in ("shapes", "coco"):
        if len(splits) != 1:
            raise ValueError(f"a coco data set is trained and evaluated on one split each, got {', '.join(splits)}")
        return CocoDetection(*coco_split(root, splits[0]), **options)
    return VocDetection(root, **split_or_image_sets(splits), class_names=recipe.class_names, **options)


def _data_root(recipe: SSDLiteRecipe) -> Path:
    """Where the data lies; what makes or fetches itself is made or fetched."""
    if recipe.data_format == "shapes":
        return generate(recipe.data_root or Path("datasets/shapes"))
    if recipe.data_format == "bccd":
        return find_voc_folder(Path("datasets/BCCD_Dataset"), recipe.data_root)
    assert recipe.data_root is not None
    return recipe.data_root
