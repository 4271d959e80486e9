"""The published weights that mvdet knows: `weights/manifest.yaml`."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, fields
from functools import cache
from pathlib import Path
from typing import Any

import yaml

from mvdet.resources import resource
from mvdet.tasks import TASKS
from mvdet.wording import did_you_mean, unknown_name_message


@dataclass(frozen=True, slots=True)
class PublishedWeights:
    """One published file.

    Attributes:
        name: what `weights=` calls it: the model's name, a dot, and a tag.
        variant: the backbone, one of `mvdet.list_backbones()`.
        task: "classification", "detection" or "segmentation".
        publisher: "apple", "timm" or "transformers".
        dataset: what it was trained on last.
        format: whose key names the file has.
        channel_order: "RGB" or "BGR", what the file's own network expects; loaded here, all expect RGB.
        num_classes: classes of its head, with the background where the head counts it.
        image_size: side of the images in pixels that the metric was measured at.
        preprocessing: `resize` (an int is the shorter side, a list is [height, width]), `crop`, `interpolation`, and
            the `source` that states them.
        metric: `name`, and `source` of the published value.
        value: the published metric, percent; None where none is published.
        url: where the file is, None for files on the Hugging Face hub.
        hub_id: its repository there.
        hub_files: names to try in that repository, in order.
        sha256: the file's hash, None where its publisher states none.
        licence: `name` and `url`.
    """

    name: str
    variant: str
    task: str
    publisher: str
    dataset: str
    format: str
    channel_order: str
    num_classes: int
    image_size: int
    preprocessing: Mapping[str, Any]
    metric: Mapping[str, str | None]
    value: float | None
    url: str | None
    hub_id: str | None
    hub_files: tuple[str, ...] | None
    sha256: str | None
    licence: Mapping[str, str]

    @property
    def tag(self) -> str:
        """The name without the model's."""
        return self.name.partition(".")[2]

    @property
    def model(self) -> str:
        """The name of the model that it is for, one of `mvdet.list_models()`."""
        return TASKS[self.task].prefix + self.variant

    @property
    def bgr(self) -> bool:
        """Whether the file's own network expects BGR images."""
        return self.channel_order == "BGR"

    def is_called(self, text: str) -> bool:
        """Whether a `weights=` string means this file, for the model that it is for; "DEFAULT" is left to the order."""
        return text in (self.publisher, self.tag, self.name)


def read_manifest(path: Path) -> dict[str, PublishedWeights]:
    """The entries of a manifest by name, in the file's order.

    Raises:
        ValueError: for an entry with a key too many or too few, or a name that is not the only one; names the entry.
    """
    known = [field.name for field in fields(PublishedWeights)]
    entries: dict[str, PublishedWeights] = {}
    for row in yaml.safe_load(path.read_text(encoding="utf-8"))["files"]:
        if set(row) != set(known):
            raise ValueError(f"{path}: {row.get('name')!r} must have {known}, differs in {set(row) ^ set(known)}")
        if row["name"] in entries:
            raise ValueError(f"{path}: two entries are named {row['name']!r}")
        entries[row["name"]] = PublishedWeights(**row | {"hub_files": row["hub_files"] and tuple(row["hub_files"])})
    return entries


@cache
def manifest() -> dict[str, PublishedWeights]:
    """The manifest that came with mvdet."""
    return read_manifest(resource("weights/manifest.yaml"))


def get_published(name: str) -> PublishedWeights:
    """An entry by its full name.

    Raises:
        ValueError: for an unknown name, with the nearest ones.
    """
    if name not in manifest():
        hint = did_you_mean(name, manifest())
        raise ValueError(f"no published weights are named {name!r}; {hint}`python scripts/weights.py list` shows all")
    return manifest()[name]


def find_published(name: str, *, variant: str | None, task: str) -> PublishedWeights:
    """The published weights that a `weights=` string names.

    Args:
        name: "DEFAULT" (the first in the manifest), a publisher, a tag, or a full name.
        variant: the backbone that they are for, None for a network that nobody has published.
        task: what the model does; a backbone takes a classifier's weights.

    Raises:
        ValueError: if there are no such weights; says which there are for this model.
    """
    mine = published_for(variant, task)
    for entry in mine:
        if name == "DEFAULT" or entry.is_called(name):
            return entry
    if name in manifest():
        other = manifest()[name]
        raise ValueError(f"weights {name!r} are {other.variant}'s for {other.task}, the model is {variant} for {task}")
    if not mine:
        raise ValueError(f"unknown weights {name!r}: nothing is published for {variant or 'such a network'} for {task}")
    raise ValueError(unknown_name_message("weights", name, weight_names(mine)) + "; or the path of a file or folder")


def published_for(variant: str | None, task: str) -> list[PublishedWeights]:
    """The entries for one network, None for one that nobody has published, in the manifest's order."""
    return [entry for entry in manifest().values() if entry.variant == variant and entry.task == task]


def weight_names(entries: Iterable[PublishedWeights]) -> list[str]:
    """What `weights=` may say for a model that has these entries."""
    entries = list(entries)
    return list(
        dict.fromkeys([*(["DEFAULT"] if entries else []), *(e.publisher for e in entries), *(e.tag for e in entries)])
    )


def is_weights_name(text: str) -> bool:
    """Whether a `weights=` string is meant as a name, of any model's, and not as a path."""
    return text == "DEFAULT" or any(entry.is_called(text) for entry in manifest().values())


def files_table(entries: Iterable[PublishedWeights]) -> list[tuple[str, ...]]:
    """A row an entry, the header first: name, image size, classes, data set, metric, where it comes from."""
    rows: list[tuple[str, ...]] = [("name", "pixels", "classes", "data set", "metric", "from")]
    for entry in entries:
        value = "not published" if entry.value is None else f"{entry.metric['name']} {entry.value:g}"
        where = entry.hub_id or "apple.com"
        rows.append((entry.name, str(entry.image_size), str(entry.num_classes), entry.dataset, value, where))
    return rows


def preprocessing_table(entries: Iterable[PublishedWeights]) -> list[tuple[str, ...]]:
    """A row for each way of preparing images, the header first, and the page that states it."""
    rows: dict[tuple[str, ...], list[str]] = {}
    for entry in entries:
        how = entry.preprocessing
        both = isinstance(how["resize"], list)
        resize = " x ".join(map(str, how["resize"])) if both else f"shorter side {how['resize']}"
        crop = "none" if how["crop"] is None else str(how["crop"])
        key = (entry.channel_order, resize, crop, how["interpolation"], f"[page]({how['source']})")
        rows.setdefault(key, []).append(f"`{entry.name}`")
    header = ("files", "channel order", "resize", "centre crop", "interpolation", "stated in")
    return [header, *((", ".join(names), *key) for key, names in rows.items())]


def as_markdown(rows: Sequence[Sequence[str]]) -> str:
    """A GitHub table; the first row is its header."""
    lines = [f"| {' | '.join(row)} |" for row in rows]
    return "\n".join([lines[0], "|" + "---|" * len(rows[0]), *lines[1:]])


def as_text(rows: Sequence[Sequence[str]]) -> str:
    """Aligned columns; the first row is their header."""
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    padded = ([cell.ljust(width) for cell, width in zip(row, widths, strict=True)] for row in rows)
    return "\n".join("  ".join(row).rstrip() for row in padded)
