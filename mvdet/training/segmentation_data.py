"""The data sets of a segmentation run."""

from functools import partial
from pathlib import Path
from typing import Any

from mvdet.data.folder_segmentation import FolderSegmentation, read_class_names
from mvdet.data.record_dataset import TransformFactory
from mvdet.data.segmentation import SegmentationDataset
from mvdet.data.segmentation_transforms import eval_transform, train_transform
from mvdet.data.shapes import generate
from mvdet.data.shapes_semantic import SEMANTIC_CLASSES
from mvdet.data.voc_folder import split_or_image_sets
from mvdet.data.voc_segmentation import VOC_SEGMENTATION_CLASSES, VocSegmentation
from mvdet.training.segmentation_recipe import SegmentationRecipe

_CLASS_FILE = "classes.txt"


def segmentation_dataset(
    recipe: SegmentationRecipe, *, train: bool, size: tuple[int, int] | None = None
) -> SegmentationDataset:
    """The training or the validation images of a recipe.

    Args:
        recipe: says which, and how they are augmented.
        train: the training images, augmented.
        size: height and width in place of the recipe's.

    Raises:
        FileNotFoundError, ValueError: as the data sets.
    """
    splits = recipe.train_split if train else recipe.val_split
    transform: TransformFactory = eval_transform
    if train:
        transform = partial(train_transform, scale=recipe.scale, photometric=recipe.photometric, flip=recipe.flip)
    options: Any = {
        "train": train,
        "on_bad_data": recipe.on_bad_data,
        "transform": transform,
        "size": size or recipe.size,
        "seed": recipe.seed,
    }
    if recipe.data_format == "shapes":
        root = generate(recipe.data_root or Path("datasets/shapes")) / "VOC"
        return VocSegmentation(root, **split_or_image_sets(splits), class_names=SEMANTIC_CLASSES, **options)
    assert recipe.data_root is not None
    if recipe.data_format == "voc":
        classes = recipe.class_names or VOC_SEGMENTATION_CLASSES
        where = split_or_image_sets(splits)
        return VocSegmentation(recipe.data_root, **where, class_names=classes, masks=recipe.mask_folder, **options)
    if len(splits) != 1:
        raise ValueError(f"a folder data set is trained and evaluated on one split each, got {', '.join(splits)}")
    names = recipe.class_names or read_class_names(recipe.data_root / _CLASS_FILE)
    folders = [recipe.data_root / kind / splits[0] for kind in ("images", "masks")]
    return FolderSegmentation(folders[0], folders[1], names, **options)
