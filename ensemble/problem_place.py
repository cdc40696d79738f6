"""Where in a YAML a problem stands: from pydantic's location to the place that a message names."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

__all__ = ["inner_path", "join_place", "locate"]


def inner_path(loc: Sequence[int | str], value: Any) -> list[Any]:
    """The parts of pydantic's location that exist in the value; the others name alternatives of a union."""
    path: list[Any] = []
    for part in loc:
        inside = part in value if isinstance(value, dict) else isinstance(value, list) and _is_row(part, value)
        if inside:
            path.append(part)
            value = value[part]
    return path


def _is_row(part: int | str, value: Sequence[Any]) -> bool:
    return isinstance(part, int) and part < len(value)


def locate(loc: Sequence[int | str], value: Any, where: str) -> tuple[str, str, Any]:
    """Full place, its last part, and the value that stands there."""
    path = inner_path(loc, value)
    got = value
    for part in path:
        got = got[part]
    if loc and isinstance(got, dict) and (not path or path[-1] != loc[-1]) and isinstance(loc[-1], str):
        path, got = [*path, loc[-1]], None  # a key that is missing
    place = where
    for part in path:
        place = f"{place}[{part}]" if isinstance(part, int) else join_place(place, str(part))
    return place, place.rpartition(".")[2], got


def join_place(where: str, name: str) -> str:
    """The place of a key within another place."""
    return f"{where}.{name}" if where else name
