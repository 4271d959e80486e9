"""The manifest as tables, for the terminal and for `weights/README.md`."""

from collections.abc import Iterable, Sequence

from mvdet.checkpoints.manifest import PublishedWeights


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
