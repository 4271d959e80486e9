"""The data sets of a classification run."""

from functools import partial
from pathlib import Path

from mvdet.data.classification import ClassificationDataset
from mvdet.data.classification_transforms import eval_transform, train_transform
from mvdet.data.shapes_classification import generate_classification
from mvdet.training.classification_recipe import ClassificationRecipe


def classification_dataset(recipe: ClassificationRecipe, *, train: bool) -> ClassificationDataset:
    """The training or the validation images of a recipe.

    Raises:
        FileNotFoundError: a folder that is not there, or a class without images.
        FileExistsError, RuntimeError: as `generate_classification`.
    """
    root = recipe.data_root
    if recipe.data_format == "shapes":
        root = generate_classification(root or Path("datasets/shapes-classification"))
    assert root is not None

    transform = partial(eval_transform, interpolation=recipe.interpolation)
    if train:
        transform = partial(
            train_transform,
            interpolation=recipe.interpolation,
            crop_scale=recipe.crop_scale,
            flip=recipe.flip,
            rand_augment=recipe.rand_augment,
            random_erasing=recipe.random_erasing,
        )
    split = recipe.train_split if train else recipe.val_split
    return ClassificationDataset(root / split, transform=transform, size=recipe.size, seed=recipe.seed)
