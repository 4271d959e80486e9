"""How errors are worded: the nearest allowed names, lists that end, and what somebody else wrote on one line."""

from collections.abc import Iterable
from difflib import get_close_matches


def plain(text: object, cut: int = 100) -> str:
    """Text on one line: as it is where it can be printed, its repr where not.

    Args:
        text: what somebody else wrote, anything that has a string.
        cut: after so many characters dots take the place of the rest.
    """
    text = str(text)
    shown = text[: cut + 1]
    shown = shown if shown.isprintable() else repr(shown)
    return shown if len(shown) <= cut else f"{shown[:cut]}..."


def listed(items: Iterable[object], shown: int = 10, cut: int = 100) -> str:
    """The first items, separated by commas, and how many more there are.

    Args:
        items: anything; each is shown as `plain` has it.
        shown: how many are shown.
        cut: how many characters of each are shown.
    """
    items = list(items)
    more = f" and {len(items) - shown} more" if len(items) > shown else ""
    return ", ".join(plain(item, cut) for item in items[:shown]) + more


def first_line(error: Exception) -> str:
    """What an error says first, or what it is where it says nothing."""
    return plain(str(error).partition("\n")[0], 300) or type(error).__name__


def did_you_mean(name: object, allowed: Iterable[str], most: int = 3) -> str:
    """A question that ends with a space, as "did you mean a or b? "; nothing where no allowed name is near.

    Args:
        name: what was received.
        allowed: the names that could have been meant.
        most: how many of them are asked for at most.
    """
    near = get_close_matches(str(name).lower(), list(allowed), n=most, cutoff=0.5)
    return f"did you mean {' or '.join(near)}? " if near else ""


def unknown_name_message(kind: str, name: object, allowed: Iterable[str]) -> str:
    """One line that says that a name is unknown: the name received, the nearest allowed ones, and all of them.

    Args:
        kind: what it is a name of, as "backbone".
        name: what was received.
        allowed: all names that there are.
    """
    allowed = list(allowed)
    return f"unknown {kind} {name!r}; {did_you_mean(name, allowed)}available: {', '.join(allowed)}"
