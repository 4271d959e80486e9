"""Find what a VOC folder holds: its image lists, and its files by name."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from mvdet.data.voc import read_image_list


class ImageSet(NamedTuple):
    """One image list: its year folder, and the names on it."""

    folder: Path
    names: tuple[str, ...]


def find_image_sets(
    root: str | Path, split: str | None, image_sets: Sequence[tuple[str, str]] | None, folders: Sequence[str]
) -> list[ImageSet]:
    """The image lists that are asked for, read.

    Args:
        root: a VOC folder; with `image_sets`, one that holds such folders itself or in `VOCdevkit`.
        split: the name of a list.
        image_sets: instead of `split`, several: `[("VOC2007", "trainval"), ("VOC2012", "trainval")]`.
        folders: what makes a VOC folder for the task; the last one holds the lists.

    Raises:
        FileNotFoundError: no such folder or list.
        ValueError: neither or both of `split` and `image_sets`; a list is malformed.
    """
    root = Path(root).expanduser()
    if (split is None) == (image_sets is None):
        raise ValueError(f"give either split or image_sets, got {split!r} and {image_sets!r}")
    if image_sets is None:
        assert split is not None
        return [_read_image_set(_voc_folder([root], folders), split, folders[-1])]
    if not image_sets:
        raise ValueError("image_sets must name one list at least, got none")
    return [
        _read_image_set(_voc_folder([root / year, root / "VOCdevkit" / year], folders), name, folders[-1])
        for year, name in image_sets
    ]


def image_files(folder: Path) -> dict[str, str]:
    """File names by stem; `.jpg`, VOC's own, before others of the same stem."""
    files: dict[str, str] = {}
    for path in sorted(folder.iterdir(), key=lambda path: (path.suffix != ".jpg", path.name)):
        files.setdefault(path.stem, path.name)
    return files


def _voc_folder(candidates: Sequence[Path], wanted: Sequence[str]) -> Path:
    """The first of the candidates that holds the wanted folders."""
    for folder in candidates:
        if all((folder / name).is_dir() for name in wanted):
            return folder
    lines = [f"{folder} has no {', '.join(n for n in wanted if not (folder / n).is_dir())}" for folder in candidates]
    inside = sorted(str(path.parent) for path in candidates[0].glob("*/JPEGImages"))
    inside += sorted(str(path.parent) for path in candidates[0].glob("VOCdevkit/*/JPEGImages"))
    hint = f"; VOC folders inside it: {', '.join(inside)} (name them in image_sets)" if inside else ""
    raise FileNotFoundError(f"no VOC data: {'; '.join(lines)}{hint}")


def _read_image_set(folder: Path, split: str, lists: str) -> ImageSet:
    file = folder / lists / f"{split}.txt"
    if not file.is_file():
        there = ", ".join(sorted(path.stem for path in file.parent.glob("*.txt"))) or "none"
        raise FileNotFoundError(f"{file}: no such image list; there are {there}")
    return ImageSet(folder, tuple(read_image_list(file)))


def split_or_image_sets(splits: Sequence[str]) -> dict[str, Any]:
    """What one list, or lists of several years written YEAR:SPLIT, are as arguments of the VOC data sets.

    Raises:
        ValueError: several lists without years.
    """
    if any(":" in split for split in splits):
        return {"image_sets": [(year, split) for year, _, split in (split.partition(":") for split in splits)]}
    if len(splits) != 1:
        raise ValueError(f"several voc splits are written YEAR:SPLIT, as VOC2007:trainval, got {', '.join(splits)}")
    return {"split": splits[0]}
