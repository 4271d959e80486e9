"""A contact sheet of captioned pictures, and a page that lists them."""

from __future__ import annotations

import html
from collections.abc import Callable, Sequence
from pathlib import Path

from matplotlib.axes import Axes
from matplotlib.figure import Figure


def percent(value: float | None) -> str:
    """A share in [0, 1] in per cent with one decimal, `-` where there is no number."""
    return "-" if value is None else f"{100 * value:.1f}"


CONTACT_SHEET = "contact_sheet.png"
INDEX = "index.html"
COLUMNS = 6

Panel = tuple[str, Callable[[Axes], None]]
"""A caption of up to two lines, and what draws the picture."""


def write_sheet(file: Path, panels: Sequence[Panel], *, nothing: str) -> None:
    """Write the pictures as one PNG, six a row; `nothing` is what it says without any."""
    rows = max(1, -(-len(panels) // COLUMNS))
    figure = Figure(figsize=(COLUMNS * 3.2, rows * 3.75), dpi=100, layout="constrained")
    grid = figure.subplots(rows, COLUMNS, squeeze=False)
    for axes in grid.flat:
        axes.set_axis_off()
        axes.set_anchor("N")
    for axes, (caption, draw) in zip(grid.flat, panels, strict=False):
        draw(axes)
        axes.set_title(caption, fontsize=10, loc="left", parse_math=False)
    if not panels:
        grid[0, 0].text(0, 0.5, nothing, fontsize=14)
    figure.savefig(file, format="png")


def page(title: str, text: str, heads: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """An HTML page: the contact sheet that lies beside it, and a table.

    Args:
        title, text, heads: as they are to stand there.
        rows: the table's cells.
    """
    cells = ("".join(f"<td>{html.escape(cell)}</td>" for cell in row) for row in rows)
    body = "\n".join(f"<tr>{row}</tr>" for row in cells)
    return f"""<!DOCTYPE html>
<html lang="en">
<meta charset="utf-8">
<title>{html.escape(title)}</title>
<style>
body {{ font-family: sans-serif; margin: 2em; }}
img {{ max-width: 100%; }}
td, th {{ text-align: left; padding: 0.2em 0.8em; border-bottom: 1px solid #ddd; }}
</style>
<h1>{html.escape(title)}</h1>
<p>{html.escape(text)}</p>
<a href="{CONTACT_SHEET}"><img src="{CONTACT_SHEET}" alt="the pictures by number"></a>
<table>
<tr>{"".join(f"<th>{html.escape(head)}</th>" for head in heads)}</tr>
{body}
</table>
</html>
"""
