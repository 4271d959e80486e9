"""From a recipe's folder to its images: what it is, which splits are meant, and what is held out for validation.

A folder without a validation split gives a share of its training images: which ones follows from their paths in the
folder and the seed alone, so that a resumed run, and an evaluation with the same seed, hold out the same.
"""

import contextlib
import dataclasses
import hashlib
import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol, Self, TypeVar

from pytorch_lightning.utilities import rank_zero_info

from mvdet.data.formats.layout import Place, Recognised
from mvdet.data.io.faults import BadData
from mvdet.data.recognition import recognise
from mvdet.tasks import TASKS, Task
from mvdet.training.recipe import AUTO, TrainingRecipe
from mvdet.wording import listed

Recipe = TypeVar("Recipe", bound=TrainingRecipe)


class _Record(Protocol):
    @property
    def file(self) -> str:
        """The image's path."""


class _Dataset(Protocol):
    class_names: tuple[str, ...]
    bad_data: BadData
    part: float

    @property
    def records(self) -> Sequence[_Record]:
        """One for each image."""

    def __len__(self) -> int:
        """Number of images."""

    def restricted(self, indices: Sequence[int]) -> Self:
        """The same with some of the images."""


AnyDataset = TypeVar("AnyDataset", bound=_Dataset)
Source = Callable[[Any], tuple[Path, str]]
"""Makes or fetches the data of a recipe: the folder, and the format that it has there."""


@dataclasses.dataclass(frozen=True, slots=True)
class Opened:
    """The data of a recipe: training or validation.

    Attributes:
        found: what its folder is.
        places: where the images lie.
        share: of those images, what is held out for validation; 0 where the folder has a validation split.
        seed: decides which.
        train: whether the images are those to train on.
    """

    found: Recognised
    places: tuple[Place, ...]
    share: float
    seed: int
    train: bool

    @property
    def all_places(self) -> list[Place]:
        """Where the images of all splits lie, each once."""
        return list(dict.fromkeys(place for places in self.found.splits.values() for place in places))

    def part_of(self, dataset: AnyDataset) -> AnyDataset:
        """The images of a data set of `places` that are meant: all, or those that are held out, or the others.

        Raises:
            ValueError: there is but one image.
        """
        if not self.share:
            return dataset
        held_out = held_out_of([record.file for record in dataset.records], self.found.root, self.share, self.seed)
        chosen = [index for index in range(len(dataset)) if (index in held_out) != self.train]
        if not self.train:
            rank_zero_info(
                f"{self.found.root}: no validation split: {len(chosen)} of {len(dataset)} training images are held out "
                f"(val_share {self.share:g}, seed {self.seed})"
            )
        return dataset.restricted(chosen)


def open_data(recipe: TrainingRecipe, task: Task, sources: Mapping[str, Source], *, train: bool) -> Opened:
    """Recognise a recipe's folder, and choose the images to train on, or those to validate on.

    Args:
        recipe: says which folder and, if at all, which format and splits.
        task: what the data is for.
        sources: of the formats that make or fetch themselves.
        train: whether the images are those to train on.

    Raises:
        FileNotFoundError, ValueError: as `recognise`; there is no such split, or none that is called train.
    """
    data_format = settled_format(recipe, task)
    root, kind = sources[data_format](recipe) if data_format in sources else (recipe.existing_data_root, data_format)
    found = recognise(root, task.name, kind)
    val = _names(recipe.val_split) or found.val
    if not train and val:
        return Opened(found, found.places(val), 0, recipe.seed, train)
    names = _names(recipe.train_split) or found.train
    if not names:
        raise ValueError(f"{root}: no split is called train, there are {listed(found.splits)}; name one as train_split")
    if not val and not recipe.val_share:
        raise ValueError(f"{root}: no validation split, and val_share is 0; there are {listed(found.splits)}")
    return Opened(found, found.places(names), 0 if val else recipe.val_share, recipe.seed, train)


def _names(splits: str | Sequence[str] | None) -> tuple[str, ...]:
    return (splits,) if isinstance(splits, str) else tuple(splits or ())


def training_and_validation(
    dataset_of: Callable[..., AnyDataset], recipe: TrainingRecipe
) -> tuple[AnyDataset, AnyDataset]:
    """The images to train on and those to validate on, of a task's function for either.

    Where a share is held out, both are of the same files: what is bad in these is said, and counted, with the former.

    Args:
        dataset_of: takes the recipe and `train`, as `mvdet.training.detection.detection_dataset`; raises what it does.
        recipe: whose data it is.
    """
    train = dataset_of(recipe, train=True)
    if train.part == 1:
        return train, dataset_of(recipe, train=False)
    with silence():
        val = dataset_of(recipe, train=False)
    val.bad_data = BadData(val.bad_data.source, val.bad_data.policy)
    return train, val


@contextlib.contextmanager
def silence() -> Iterator[None]:
    """No warning of ours is logged meanwhile: it was, or is by another process."""
    ours = logging.getLogger("mvdet")
    level = ours.level
    ours.setLevel(logging.ERROR)
    try:
        yield
    finally:
        ours.setLevel(level)


def settled_format(recipe: TrainingRecipe, task: Task) -> str:
    """The data format of a recipe, recognised where it is left open; without a folder, `shapes`.

    Raises:
        FileNotFoundError, ValueError: as `recognise`.
    """
    if recipe.data_format != AUTO:
        return recipe.data_format
    return "shapes" if recipe.data_root is None else recognise(recipe.data_root, task.name).data_format


def starting_point(task: Task, root: Path) -> tuple[str, Path]:
    """The format of a folder, and the recipe that a run on it starts from; both are said.

    Args:
        task: what is to be trained.
        root: the folder of the data set.

    Raises:
        FileNotFoundError, ValueError: as `recognise`.
    """
    found = recognise(root, task.name)
    file = recipe_of(found)
    others = f" ({listed(found.also)} as well: --data-format says which)" if found.also else ""
    rank_zero_info(f"{root}: recognised as {found.data_format}{others}; settings of {file.name}, then the flags")
    return found.data_format, file


def recipe_of(found: Recognised) -> Path:
    """The recipe of a folder that was recognised: the published one of the public data set itself, else one's own."""
    task = TASKS[found.task]
    return task.recipe_files()[found.data_format] if found.published else task.own_recipe_file


def held_out_of(files: Sequence[str], root: Path, share: float, seed: int) -> set[int]:
    """Which images are held out: those whose paths in the folder come first in an order that the seed decides.

    Args:
        files: the images' paths.
        root: the folder of the data set.
        share: above 0 and below 1; one image at least is held out, and one at least is not.
        seed: decides the order.

    Returns:
        Indices into `files`.

    Raises:
        ValueError: there is but one image.
    """
    if len(files) < 2:
        raise ValueError(f"{root}: no validation split, and {len(files)} image is too few to hold one out")

    def place(index: int) -> bytes:
        path = Path(files[index]).absolute()
        name = path.relative_to(root.absolute()).as_posix() if path.is_relative_to(root.absolute()) else path.as_posix()
        return hashlib.sha256(f"{seed}/{name}".encode(errors="surrogateescape")).digest()

    count = min(len(files) - 1, max(1, round(share * len(files))))
    return set(sorted(range(len(files)), key=place)[:count])


def described(recipe: TrainingRecipe, task: Task) -> str:
    """The data of a recipe in messages: its folder, if it names one, and its format; raises as `settled_format`."""
    data_format = settled_format(recipe, task)
    return data_format if recipe.data_root is None else f"{recipe.data_root} ({data_format})"
