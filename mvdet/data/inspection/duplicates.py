"""Pictures that occur more than once: in training and validation, or with different annotations."""

import hashlib
from collections import defaultdict
from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from mvdet.data.datasets.classification import ClassificationDataset
from mvdet.data.datasets.detection import DetectionDataset
from mvdet.data.datasets.segmentation import SegmentationDataset
from mvdet.data.inspection.statistics import AnyDataset

MOST_WITHIN = 20_000
"""So many files of one split are read to find pictures that occur twice in it; of a larger set, these are looked for
among the pictures that occur in both splits alone."""

_HEAD_BYTES = 1 << 16
_THREADS = 8  # for the latency of network disks

Place = tuple[int, int]
"""Number of the split, and index in it."""


def same_pictures(splits: Sequence[Sequence[str]]) -> list[list[Place]]:
    """Files of equal content, in groups of two or more.

    Only files of equal size are read, and of these the first 64 KiB; the rest where those are equal, too. Files that
    cannot be read are like no other.

    Args:
        splits: paths.

    Returns:
        Groups in the order of their first places.
    """
    places = [(number, index) for number, files in enumerate(splits) for index in range(len(files))]

    def file_of(place: Place) -> str:
        return splits[place[0]][place[1]]

    groups = _grouped([places], lambda place: _size(file_of(place)))
    if sum(map(len, groups)) > MOST_WITHIN:
        groups = [group for group in groups if len({split for split, _ in group}) > 1]
    groups = _grouped(groups, lambda place: _content(file_of(place), _HEAD_BYTES))
    return sorted(_grouped(groups, lambda place: _content(file_of(place), None)))


def in_both(groups: Iterable[Sequence[Place]]) -> list[tuple[Place, Place]]:
    """Pictures of split 0, training, that split 1 has, too: a place in the former for each place in the latter."""
    pairs = []
    for group in groups:
        trained = [place for place in group if place[0] == 0]
        pairs += [(trained[0], place) for place in group if place[0] == 1 and trained]
    return sorted(pairs, key=lambda pair: pair[1])


def annotated_differently(
    groups: Iterable[Sequence[Place]], datasets: Sequence[AnyDataset]
) -> list[tuple[Place, Place]]:
    """Two places of each picture that has different annotations in one split or in two."""
    pairs = []
    for group in groups:
        seen: dict[Hashable, Place] = {}
        for place in group:
            seen.setdefault(_annotation(datasets[place[0]], place[1]), place)
        first, *others = seen.values()
        if others:
            pairs.append((first, others[0]))
    return pairs


def _grouped(groups: Iterable[Sequence[Place]], key: Callable[[Place], Hashable]) -> list[list[Place]]:
    """Parts of the groups with equal keys, of two or more; a key of None is like no other."""
    found: list[list[Place]] = []
    with ThreadPoolExecutor(_THREADS) as pool:
        for group in groups:
            parts: dict[Hashable, list[Place]] = defaultdict(list)
            for place, value in zip(group, pool.map(key, group), strict=True):
                if value is not None:
                    parts[value].append(place)
            found += [part for part in parts.values() if len(part) > 1]
    return found


def _size(file: str) -> int | None:
    try:
        return Path(file).stat().st_size
    except OSError:
        return None


def _content(file: str, most: int | None) -> bytes | None:
    """A digest of a file's first bytes, or of all."""
    try:
        with Path(file).open("rb") as stream:
            return hashlib.blake2b(stream.read() if most is None else stream.read(most), digest_size=16).digest()
    except OSError:
        return None


def _objects(dataset: DetectionDataset, index: int) -> Hashable:
    objects = dataset.records[index].objects
    boxes = objects["box"].round().tolist()  # half a pixel is no other box
    return tuple(sorted((label, *box) for label, box in zip(objects["label"].tolist(), boxes, strict=True)))


def _mask(dataset: SegmentationDataset, index: int) -> Hashable:
    return _content(dataset.records[index].mask_file, None)


def _label(dataset: ClassificationDataset, index: int) -> Hashable:
    return dataset.records[index].label


_ANNOTATIONS: Mapping[type, Callable[[Any, int], Hashable]] = {
    DetectionDataset: _objects,
    SegmentationDataset: _mask,
    ClassificationDataset: _label,
}


def _annotation(dataset: AnyDataset, index: int) -> Hashable:
    """What is equal where two pictures are annotated alike."""
    return next(of for kind, of in _ANNOTATIONS.items() if isinstance(dataset, kind))(dataset, index)
