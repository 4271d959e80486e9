"""How errors are worded: the nearest allowed names, lists that end, and what somebody else wrote on one line."""

from collections.abc import Iterable
from difflib import get_close_matches


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


def did_you_mean(name: object, allowed: Iterable[str], most: int = 3) -> str:
    """ "did you mean a or b? " with the nearest allowed names, nothing where none is near."""
    near = get_close_matches(str(name).lower(), list(allowed), n=most, cutoff=0.5)
    return f"did you mean {' or '.join(near)}? " if near else ""


def unknown_name_message(kind: str, name: object, allowed: Iterable[str]) -> str:
    """One line: the name received, the nearest allowed ones, and all of them."""
    allowed = list(allowed)
    return f"unknown {kind} {name!r}; {did_you_mean(name, allowed)}available: {', '.join(allowed)}"
