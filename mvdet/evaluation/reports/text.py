"""Numbers, names and tables as reports write them."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any


def percent(value: float | None) -> str:
    """A share in [0, 1] in per cent with one decimal, `-` where there is no number."""
    return "-" if value is None else f"{100 * value:.1f}"


def shorten(name: str, longest: int = 24) -> str:
    """A name of at most so many characters, to fit beside a plot or over a picture."""
    return name if len(name) <= longest else f"{name[: longest - 1]}…"


def table_lines(heads: Sequence[str], widths: Sequence[int], rows: Sequence[Sequence[object]]) -> list[str]:
    """A table for the terminal, a line a row: names on the left, numbers flush right.

    Args:
        heads: of the columns.
        widths: in characters, of the columns after the first, which is as wide as its longest cell.
        rows: the cells of each row.
    """
    first = max(len(str(row[0])) for row in (heads, *rows))
    return [
        "  ".join([f"{row[0]:<{first}}", *(f"{cell:>{width}}" for cell, width in zip(row[1:], widths, strict=True))])
        for row in (heads, *rows)
    ]


def write_json(file: Path, content: Mapping[str, Any]) -> None:
    """Write an indented json file, which ends with a line break."""
    file.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")
