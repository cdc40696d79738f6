"""Reads what a member's `spec.json` says of it. Loads no torch: `ensemble fuse` does without."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from backbones.errors import InputError
from backbones.limits import IMAGE_PIXELS
from pipelines.bundle import SPEC, read_json

__all__ = ["read_spec_file"]


def read_spec_file(folder: Path) -> dict[str, Any]:
    """The content of a finished member's `spec.json`.

    Raises:
        InputError: It is absent, damaged, or says what no fit does.
    """
    if not (folder / SPEC).is_file():
        raise InputError(f"Expected `{folder}` to be a finished member, but it has no {SPEC}.")
    content = read_json(folder / SPEC)
    for key, fits in _FACTS.items():
        if (key in content or key in _ALWAYS) and not fits(content.get(key)):
            raise InputError(
                f"Expected `{key}` in `{folder / SPEC}` to be that of a trained member, but got {content.get(key)!r}."
            )
    return content


def _is_side(value: Any) -> bool:
    return isinstance(value, int) and value > 0 and value**2 <= IMAGE_PIXELS


def _is_colour(value: Any) -> bool:
    return value in (1, 3)


def _are_names(value: Any) -> bool:
    return isinstance(value, list) and all(isinstance(name, str) for name in value)


def _is_amount(value: Any) -> bool:
    """Not known of outside members."""
    return value is None or (isinstance(value, int | float) and not isinstance(value, bool) and value >= 0)


def _is_count(value: Any) -> bool:
    return value is None or (isinstance(value, int) and _is_amount(value))


def _is_spec(value: Any) -> bool:
    return isinstance(value, dict) and isinstance(value.get("name"), str)


_FACTS: Mapping[str, Callable[[Any], bool]] = {
    "face_size": _is_side, "shown_size": _is_side, "face_channels": _is_colour, "shown_channels": _is_colour,
    "classes": _are_names, "spec": _is_spec, "parameters": _is_amount, "epochs": _is_count, "seconds": _is_amount,
}  # fmt: skip
"""What is taken from a `spec.json` as it stands; everything else is checked where it is built."""
_ALWAYS = ("spec",)
