"""How numbers are written for people."""


def percent(value: float | None) -> str:
    """A share in [0, 1] in per cent with one decimal, `-` where there is no number."""
    return "-" if value is None else f"{100 * value:.1f}"
