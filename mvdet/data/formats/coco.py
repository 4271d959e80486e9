"""Where json files of COCO's format and their images lie: in COCO's own folders, and in those that tools export.

COCO, `annotations/instances_SPLIT.json`; Roboflow, `SPLIT/_annotations.coco.json` beside the images; CVAT,
`annotations/instances_default.json` and `images/`; Label Studio, `result.json` and `images/`. The file's name does not
matter: what it holds does, and that its images are found.
"""

import filecmp
from pathlib import Path
from typing import NamedTuple

from mvdet.data.formats.image_names import ImageNames
from mvdet.data.formats.json_files import json_kind, some_file_names
from mvdet.data.formats.layout import IMAGE_FOLDERS, Place, Recognised, recognised, split_kind
from mvdet.data.formats.listing import child, is_image, visible
from mvdet.wording import listed

YEARS = ("2017", "2014")
"""COCO's releases, whose files are named `instances_train2017.json` and `train2017/`; the newer one is tried first."""

_OTHER_TASKS = ("captions", "person_keypoints", "stuff", "panoptic", "image_info", "lvis_", "results")
_FOLDERS = ("annotations", "annotation", "labels", "anns", "jsons", "json", "coco")


class CocoFiles(NamedTuple):
    """Where a split lies: its instances json and its folder of images."""

    annotations: Path
    images: Path


def coco_split(root: str | Path, split: str) -> CocoFiles:
    """Find a split's files in a data set's folder.

    COCO's own layout is known (`annotations/instances_{split}2017.json` with `{split}2017/`, also 2014 and without a
    year) and that of mvdet's `shapes` (`annotations/instances_{split}.json` with `images/{split}/`), in any mixture. A
    year that `split` names itself ("val2014") is kept to.

    Args:
        root: the data set's folder.
        split: "train", "val", "train2017" ...

    Raises:
        FileNotFoundError: nothing was found; the message lists what was looked for.
    """
    root = Path(root).expanduser()
    names = [split, *(split + year for year in YEARS)]
    jsons = [root / "annotations" / f"instances_{name}.json" for name in names]
    found = next(((name, file) for name, file in zip(names, jsons, strict=True) if file.is_file()), None)
    if found is None:
        raise FileNotFoundError(f"no COCO annotations of split {split!r}; looked for {', '.join(map(str, jsons))}")
    name, annotations = found
    folders = [root / prefix / name for name in dict.fromkeys((name, split)) for prefix in ("", "images")]
    images = next((folder for folder in folders if folder.is_dir()), None)
    if images is None:
        raise FileNotFoundError(f"no images for {annotations}; looked for the folders {', '.join(map(str, folders))}")
    return CocoFiles(annotations, images)


def find_coco(root: Path) -> Recognised | None:
    """The json files of COCO's format in a folder, with their images; None where there is no such file.

    Raises:
        FileNotFoundError: the images of a json file are nowhere.
        ValueError: two files of the same split.
    """
    files = [file for file in _json_files(root) if json_kind(file) == "coco"]
    plain = [file for file in files if not file.name.startswith(_OTHER_TASKS)]
    files = plain or files
    if not files:
        return None
    by_name: dict[str, Path] = {}
    for file in sorted(files, key=lambda file: (not file.name.startswith("instances"), file)):
        name = _split_name(file, root)
        other = by_name.setdefault(name, file)
        if other != file and not filecmp.cmp(file, other, shallow=False):
            raise ValueError(f"{other} and {file} are both called {name}, and differ; move one of them away")
    splits = {name: (Place(_image_folder(root, file, name), file),) for name, file in by_name.items()}
    return recognised(root, "coco", splits, published=any(_is_coco(file) for file in by_name.values()))


def _json_files(root: Path) -> list[Path]:
    """The json files that may be annotations: in the folder, in its annotation folder and in its split folders."""
    folders = [path for path in visible(root) if path.is_dir()]
    looked_in = [path for path in folders if path.name.lower() in _FOLDERS or split_kind(path.name)]
    looked_in += [path for one in looked_in for path in visible(one) if path.is_dir() and one.name.lower() in _FOLDERS]
    looked_in += [inner for one in folders if split_kind(one.name) and (inner := child(one, _FOLDERS)) is not None]
    if (images := child(root, IMAGE_FOLDERS)) is not None:
        looked_in += [images, *(path for path in visible(images) if path.is_dir() and split_kind(path.name))]
    files = [file for folder in dict.fromkeys([root, *looked_in]) for file in visible(folder)]
    return [file for file in files if file.suffix.lower() == ".json" and file.is_file()]


def _split_name(file: Path, root: Path) -> str:
    """What a json file's split is called: by its own name, or by the folder that it lies in."""
    stem = file.stem.removeprefix("instances_")
    if split_kind(stem) or file.parent == root:
        return stem
    parents = [folder.name for folder in file.parents if folder != root and folder.is_relative_to(root)]
    return next((name for name in parents if split_kind(name)), stem)


def _image_folder(root: Path, file: Path, name: str) -> Path:
    """The folder that a json file's names are relative to: the first in which some of its images are found."""
    names = some_file_names(file)
    folders = _candidates(root, file, name)
    for folder in folders:
        found = ImageNames(folder, deep=False)
        if any(found.find(one) is not None for one in names):
            return folder
    for folder in folders:
        found = ImageNames(folder)
        if any(found.find(one) is not None for one in names):
            return folder
    if fitting := [folder for folder in folders if any(map(is_image, visible(folder)))]:
        return fitting[0]  # every image will be reported as missing
    raise FileNotFoundError(f"{file}: no images for it in {root}, as {listed(names, 3)}; looked in {listed(folders)}")


def _candidates(root: Path, file: Path, name: str) -> list[Path]:
    kind = split_kind(name)
    parents = [file.parent, root]
    parents += [inner for parent in parents if (inner := child(parent, IMAGE_FOLDERS)) is not None]
    splits = [
        path
        for parent in parents
        for path in visible(parent)
        if path.is_dir() and (path.name == name or (kind is not None and split_kind(path.name) == kind))
    ]
    splits += [inner for path in splits if (inner := child(path, IMAGE_FOLDERS)) is not None]
    splits.sort(key=lambda path: path.name != name)
    return list(dict.fromkeys([*splits, *parents[2:], *parents[:2]]))


def _is_coco(file: Path) -> bool:
    """Whether a file is COCO's own list of training images: by its name, and it is hundreds of megabytes long."""
    return file.stem in [f"instances_train{year}" for year in YEARS] and file.stat().st_size > 200_000_000
