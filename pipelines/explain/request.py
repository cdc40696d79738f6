"""Checks what `ensemble explain` is asked for before anything heavy is loaded."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from backbones.errors import InputError, nearest
from ensemble.expression import class_named
from ensemble.outside_spec import OUTSIDE
from pipelines.bundle import SPEC, read_committee, read_json

__all__ = ["METHODS", "QUICK", "check_expression", "check_members", "read_methods"]

METHODS = ("gradcam", "occlusion", "filters", "activations", "ascent", "dream", "agreement")
QUICK = ("gradcam", "occlusion", "filters", "activations", "agreement")
"""Without `ascent` and `dream`, which climb for minutes on large networks."""


def read_methods(text: str | None) -> tuple[str, ...]:
    """The methods in a comma-separated text, in their usual order; none means the quick ones, `all` all of them.

    Raises:
        InputError: A name is none of them.

    Example:
        >>> read_methods("agreement, gradcam")
        ('gradcam', 'agreement')
    """
    if text is None:
        return QUICK
    names = [name.strip().lower() for name in text.split(",") if name.strip()]
    for name in names:
        if name not in (*METHODS, "all"):
            raise InputError(f"Expected methods in `--what`, but got {name!r}. {nearest(name, (*METHODS, 'all'))}")
    if not names:
        raise InputError(f"Expected methods in `--what`, but got {text!r}. {nearest('', METHODS)}")
    return METHODS if "all" in names else tuple(name for name in METHODS if name in names)


def check_members(folder: Path, names: Sequence[str]) -> None:
    """Refuse names of members that the committee has not, or that have no network.

    Raises:
        InputError: There is such a name, or no member has a network.
    """
    known = read_committee(folder).members
    kinds = {name: read_json(folder / "members" / name / SPEC).get("kind") for name in known}
    networks = [name for name in known if kinds[name] != OUTSIDE]
    if not networks:
        raise InputError(
            f"Expected a member with a network in `{folder}`, but all are outside members, of which only probabilities "
            f"are known: {', '.join(known)}. There is nothing to look into."
        )
    for name in names:
        if name not in known:
            raise InputError(
                f"Expected `--member` to be one of the committee's, but got {name!r}. {nearest(name, networks)}"
            )
        if name not in networks:
            raise InputError(
                f"Expected `--member` to have a network, but only probabilities are known of {name!r}. "
                f"{nearest('', networks)}"
            )


def check_expression(folder: Path, name: str | None) -> str | None:
    """The committee's class of that name.

    Raises:
        InputError: It has none.
    """
    if name is None:
        return None
    classes = read_committee(folder).classes
    found = class_named(name, classes)
    if found is None:
        raise InputError(
            f"Expected `--expression` to be a class of the committee, but got {name!r}. {nearest(name, classes)}"
        )
    return found
