"""What a recognised folder is described by, and the words that split folders and files are called by."""

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from mvdet.data.formats.listing import child, holds, is_image, visible
from mvdet.wording import listed

IMAGE_FOLDERS = ("JPEGImages", "images", "image", "imgs", "img", "img_dir", "obj_train_data")
"""What a folder of images may be called, in any case."""

_TRAIN = {"train", "training", "trn", "traindata", "trainset"}
_VAL = {"val", "valid", "validation", "dev", "valdata", "valset"}
_TEST = {"test", "testing", "tst", "testset"}
_WORDS = {word: kind for kind, words in (("train", _TRAIN), ("val", _VAL), ("test", _TEST)) for word in words}


@dataclass(frozen=True, slots=True)
class Place:
    """Where some images and their annotations lie.

    Attributes:
        images: the folder of the images.
        annotations: the file with the annotations, or the folder with one for each image; None where the images'
            folders say what they show.
        names: a list of the images' names; None takes all images of the folder, at any depth.
        suffix: what follows an image's name in that of its annotation file.
    """

    images: Path
    annotations: Path | None = None
    names: Path | None = None
    suffix: str = ""


Splits = Mapping[str, tuple[Place, ...]]


@dataclass(frozen=True)
class Recognised:
    """What a folder was recognised as.

    Attributes:
        task: "detection", "segmentation" or "classification".
        data_format: as `--data-format` has it.
        root: the folder.
        splits: all splits that were found, by the names that lie on disk.
        train: those of them to train on; empty where no name says which.
        val: those to validate on; empty where there are none, or where no name says which.
        class_names: by class number, where the layout says so.
        published: whether it is the public data set itself (COCO, VOC, ImageNet), which its published recipe fits.
        also: other formats that describe the same images.
    """

    task: str
    data_format: str
    root: Path
    splits: Splits
    train: tuple[str, ...]
    val: tuple[str, ...]
    class_names: tuple[str, ...] | None = None
    published: bool = False
    also: tuple[str, ...] = ()

    def places(self, names: Sequence[str]) -> tuple[Place, ...]:
        """Where the images of these splits lie, one after the other.

        Args:
            names: as on disk, or "train", "val" and "test" for what is called alike ("valid", "train2017"); of VOC, the
                list alone or with its folder, as VOC2007:trainval.

        Raises:
            FileNotFoundError: no such split; names those that there are.
            ValueError: several splits are called alike.
        """
        return tuple(place for name in names for place in self._places(name))

    def _places(self, name: str) -> tuple[Place, ...]:
        lists = [split for split in self.splits if split.rpartition(":")[2] == name]
        for split in (name, name.rpartition(":")[2], *(lists if len(lists) == 1 else ())):
            if split in self.splits:
                return self.splits[split]
        if (split := only_of_kind(self.splits, name)) is not None:
            return self.splits[split]
        for place in (place for places in self.splits.values() for place in places):
            if (named := _sub_folder(place, name)) is not None:
                return (named,)
        raise FileNotFoundError(f"{self.root}: no split {name!r}; there are {listed(self.splits)}")


def _sub_folder(place: Place, name: str) -> Place | None:
    """A folder in that of the images, or beside it, that is a split only because somebody says so."""
    if not (len(Path(name).parts) >= 1 and not Path(name).is_absolute()):
        return None
    for images in (place.images / name, place.images.parent / name):
        if not images.is_dir():
            continue
        if place.annotations in (None, place.images):
            return replace(place, images=images, annotations=place.annotations and images)
        annotations = place.annotations if images.parent == place.images else place.annotations.parent
        return replace(place, images=images, annotations=annotations / name) if (annotations / name).is_dir() else None
    return None


def recognised(
    root: Path,
    data_format: str,
    splits: Splits,
    *,
    class_names: tuple[str, ...] | None = None,
    published: bool = False,
) -> Recognised:
    """A folder's description, with the splits to train and validate on chosen by their names, where these say it."""
    train, val, test = (only_of_kind(splits, kind, strict=False) for kind in ("train", "val", "test"))
    if len(splits) == 1 and val is None and test is None:
        train = next(iter(splits))
    if train is None:  # a folder to evaluate on
        val = val or test
    trains, vals = (() if name is None else (name,) for name in (train, val))
    return Recognised("", data_format, root, dict(splits), trains, vals, class_names, published)


def only_of_kind(splits: Iterable[str], kind: str, *, strict: bool = True) -> str | None:
    """The split of a kind that is meant: the plain word, of several years the newest, or the only one; None for none.

    Args:
        splits: their names.
        kind: "train", "val" or "test".
        strict: raise where several may be meant, in place of None.

    Raises:
        ValueError: several may be meant.
    """
    found = [name for name in splits if split_kind(name) == kind]
    plain = [name for name in found if re.sub(r"[\W\d_]+", "", name.lower()) in _WORDS]
    if plain:
        return min(plain, key=lambda name: (any(map(str.isdigit, name)), [-int(n) for n in re.findall(r"\d+", name)]))
    found = [name for name in found if "trainval" not in name.lower()] or found
    if len(found) > 1 and strict:
        raise ValueError(f"several splits are called {kind}: {listed(found)}; which is meant?")
    return found[0] if len(found) == 1 else None


def split_kind(name: str) -> str | None:
    """Whether a name ("instances_train2017", "valid") says "train", "val" or "test"; None where it says none of them.

    Lists of training and validation images together ("trainval") are for training.
    """
    lowered = re.sub(r"[^a-z]+", " ", name.lower())
    if re.search(r"\btrain ?val\b", lowered):
        return "train"
    kinds = [_WORDS[word] for word in lowered.split() if word in _WORDS]
    return kinds[-1] if kinds else None


def paired_splits(
    root: Path, annotation_folders: Sequence[str], is_annotation: Callable[[Path], bool], *, beside: bool = True
) -> dict[str, tuple[Place, ...]]:
    """Images and one annotation file each, however the folders are put together.

        IMAGES/SPLIT + ANNOTATIONS(/SPLIT),  SPLIT/IMAGES + SPLIT/ANNOTATIONS,  (IMAGES/)SPLIT with both side by side,
        IMAGES + ANNOTATIONS,  all side by side

    Args:
        root: the folder.
        annotation_folders: what the folder of the annotations may be called.
        is_annotation: whether a file is one, as far as can be seen cheaply.
        beside: whether annotations may lie beside their images.

    Returns:
        The first of these that there is: by the splits' names on disk, or "all" where there are no splits.
    """

    def place(images: Path | None, annotations: Path | None) -> tuple[Place, ...]:
        if images is None or annotations is None:
            return ()
        return (Place(images, annotations),) if holds(annotations, is_annotation) and holds(images, is_image) else ()

    def together(folder: Path) -> tuple[Place, ...]:
        both = place(child(folder, IMAGE_FOLDERS), child(folder, annotation_folders))
        return both or (side_by_side(folder) if beside else ())

    def side_by_side(folder: Path) -> tuple[Place, ...]:
        def in_one(inside: Path) -> bool:
            return holds(inside, is_annotation, depth=0) and holds(inside, is_image, depth=0)

        with_images = [path for path in visible(folder) if path.is_dir() and holds(path, is_image, depth=0)]
        if in_one(folder) or (len(with_images) > 1 and all(map(in_one, with_images))):
            return (Place(folder, folder),)
        images = child(folder, IMAGE_FOLDERS)
        return (Place(images, images),) if images is not None and in_one(images) else ()

    images, annotations = child(root, IMAGE_FOLDERS), child(root, annotation_folders)
    if images is not None and annotations is not None:
        flat = annotations if holds(annotations, is_annotation, depth=0) else None
        folders = {path.name: path for path in visible(images) if path.is_dir() and split_kind(path.name)}
        splits = {name: place(path, child(annotations, [name]) or flat) for name, path in folders.items()}
        if splits := {name: found for name, found in splits.items() if found}:
            return splits
    for parent in (root, images) if images is not None else (root,):
        folders = {path.name: path for path in visible(parent) if path.is_dir() and split_kind(path.name)}
        if splits := {name: found for name, path in folders.items() if (found := together(path))}:
            return splits
    return {"all": found} if (found := together(root)) else {}
