"""Reads `--classes`: what becomes of the classes of a data set that is named on the command line."""

from __future__ import annotations

from collections.abc import Iterable

from backbones.errors import InputError

__all__ = ["read_wanted"]


def read_wanted(texts: Iterable[str]) -> dict[str, str | None]:
    """Classes and what becomes of them, from texts such as `contempt=,joy=happy`; nothing after `=` leaves one out.

    Raises:
        InputError: A text is not of that form, or a class stands twice.

    Example:
        >>> read_wanted(["contempt=,joy=happy", "calm=neutral"])
        {'contempt': None, 'joy': 'happy', 'calm': 'neutral'}
    """
    wanted: dict[str, str | None] = {}
    for text in (part.strip() for whole in texts for part in whole.split(",")):
        name, equals, target = (part.strip() for part in text.partition("="))
        if not (name and equals):
            raise InputError(f"Expected `--classes` as NAME=NAME, or NAME= to leave a class out, but got {text!r}.")
        if name in wanted:
            raise InputError(f"Expected every class once in `--classes`, but got {name!r} twice.")
        wanted[name] = target or None
    return wanted
