"""Numbers, names and tables as text."""

import json
from pathlib import Path

from mvdet.evaluation.reports.text import percent, shorten, table_lines, write_json


def test_numbers_and_names() -> None:
    assert [percent(value) for value in (0.1234, 1.0, 0.0, None)] == ["12.3", "100.0", "0.0", "-"]
    assert (shorten("abcdef", 6), shorten("abcdefg", 6), len(shorten("x" * 30))) == ("abcdef", "abcde…", 24)


def test_a_table_is_flush() -> None:
    lines = table_lines(("class", "n", "top-1"), (3, 6), [("a long name", 5, "1.0"), ("b", 123, "100.0")])
    assert lines == ["class          n   top-1", "a long name    5     1.0", "b            123   100.0"]
    assert table_lines(("class", "n"), (2,), []) == ["class   n"]


def test_json_ends_with_a_line_break(tmp_path: Path) -> None:
    write_json(tmp_path / "a.json", {"a": [1, None]})
    assert json.loads((tmp_path / "a.json").read_text()) == {"a": [1, None]}
    assert (tmp_path / "a.json").read_text().endswith("}\n")
