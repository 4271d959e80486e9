"""A contact sheet of captioned pictures, and a page that lists them."""

import html
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path

from matplotlib.axes import Axes
from matplotlib.figure import Figure

CONTACT_SHEET = "contact_sheet.png"
INDEX = "index.html"
COLUMNS = 6

Panel = tuple[str, Callable[[Axes], None]]
"""A caption of up to two lines, and what draws the picture."""


def write_page(
    folder: Path,
    panels: Sequence[Panel],
    *,
    nothing: str,
    title: str,
    text: str,
    heads: Sequence[str],
    rows: Sequence[Sequence[str]],
) -> None:
    """Write `contact_sheet.png`, and `index.html` that shows it above a table.

    Args:
        folder: is created where it is missing.
        panels: the pictures of the sheet.
        nothing: what the sheet says without any.
        title: of the page.
        text: what the page says above the sheet.
        heads: of the table's columns.
        rows: the table's cells, as plain text.
    """
    folder.mkdir(parents=True, exist_ok=True)
    _write_sheet(folder / CONTACT_SHEET, panels, nothing)
    (folder / INDEX).write_text(_page(title, text, heads, rows), encoding="utf-8")


def _write_sheet(file: Path, panels: Sequence[Panel], nothing: str) -> None:
    """The pictures as one PNG, six a row."""
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
    with warnings.catch_warnings():  # names in scripts that the font lacks show as boxes; the page beside it has them
        warnings.filterwarnings("ignore", "Glyph .* missing from", UserWarning)
        figure.savefig(file, format="png")


def _page(title: str, text: str, heads: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """An HTML page: the contact sheet that lies beside it, and a table."""
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
