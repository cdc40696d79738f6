"""Numbers as a reader wants them, and shades of a heat table."""

from __future__ import annotations

__all__ = ["LEVELS", "as_count", "as_percent", "as_time", "level", "p_words", "signed"]

LEVELS = 20
"""Shades of a heat table beside the empty one; the style sheet has a class for each."""


def as_percent(share: float, digits: int = 1) -> str:
    """A share in per cent, kept on one line.

    Example:
        >>> as_percent(0.67924).split()
        ['67.9', '%']
    """
    return f"{100 * share:.{digits}f}\u00a0%"


def as_count(number: float | None) -> str:
    """A whole number, nothing where it is not known.

    Example:
        >>> as_count(1099911), as_count(None)
        ('1,099,911', '')
    """
    return "" if number is None else f"{number:,.0f}"


def as_time(seconds: float | None) -> str:
    """A duration in its two largest units, nothing where it is not known.

    Example:
        >>> as_time(27.3), as_time(3122.3), as_time(7300)
        ('27 s', '52 min', '2 h 2 min')
    """
    if seconds is None:
        return ""
    if seconds < 9.95:
        return f"{seconds:.1f} s"
    if seconds < 60:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 60 else f"{minutes // 60} h {minutes % 60} min"


def signed(number: float, digits: int) -> str:
    """A difference, with a minus as wide as the plus.

    Example:
        >>> signed(-0.5, 1), signed(0.25, 2)
        ('−0.5', '+0.25')
    """
    return f"{number:+.{digits}f}".replace("-", "−")


def level(value: float, low: float = 0.0, high: float = 1.0) -> int:
    """Shade of a number, 0 to `LEVELS`.

    Example:
        >>> level(0.0), level(0.5), level(2.0)
        (0, 10, 20)
    """
    share = (value - low) / (high - low) if high > low else 0.0
    return round(LEVELS * min(max(share, 0.0), 1.0))


def p_words(p_value: float) -> str:
    """What a p value of a comparison says, in plain words."""
    number = "p < 0.0001" if p_value < 0.0001 else f"p = {p_value:.2g}"
    return f"{number}, {'hardly luck' if p_value < 0.05 else 'may be luck'}"
