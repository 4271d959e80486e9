"""How errors show what somebody else wrote: on one line, without control characters, and cut."""

from collections.abc import Iterable


def plain(text: object, cut: int = 100) -> str:
    """`text` as it is where it can be printed, its repr where not, cut after so many characters."""
    text = str(text)
    shown = text[: cut + 1]
    shown = shown if shown.isprintable() else repr(shown)
    return shown if len(shown) <= cut else f"{shown[:cut]}..."


def listed(items: Iterable[object], shown: int = 10, cut: int = 100) -> str:
    """The first ten items, each on one line and cut, and how many more there are."""
    items = list(items)
    more = f" and {len(items) - shown} more" if len(items) > shown else ""
    return ", ".join(plain(item, cut) for item in items[:shown]) + more


def first_line(error: Exception) -> str:
    """What an error says first, or what it is where it says nothing."""
    return plain(str(error).partition("\n")[0], 300) or type(error).__name__
