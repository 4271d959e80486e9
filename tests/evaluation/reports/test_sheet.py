import warnings
from pathlib import Path

from PIL import Image

from mvdet.evaluation.reports.sheet import CONTACT_SHEET, INDEX, write_page


def test_names_in_scripts_that_the_font_lacks(tmp_path: Path) -> None:
    """They are readable on the page, and the sheet is written without a warning for each character."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        write_page(
            tmp_path,
            [("袋鼠", lambda axes: None)],
            nothing="none",
            title="x",
            text="y",
            heads=("name",),
            rows=[("袋鼠",)],
        )
    assert "<td>袋鼠</td>" in (tmp_path / INDEX).read_text(encoding="utf-8")
    with Image.open(tmp_path / CONTACT_SHEET) as sheet:
        assert sheet.width > 1000
