"""What a user's names for classes mean: which class of a source, and which of those wanted it becomes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from backbones.errors import InputError, nearest
from ensemble.expression import canonical_expression, class_named

__all__ = ["Wanted", "meaning_among", "resolve_wanted"]

Wanted = Mapping[str, str | None]
"""Classes of a source and what becomes of them: another class, or None to leave them out."""


def resolve_wanted(source: Sequence[str], wanted: Wanted, where: str) -> dict[str, str | None]:
    """What becomes of the classes named, both under their own names.

    Args:
        source: The source's classes.
        wanted: What becomes of some of them, under any name that is understood.
        where: Whose classes they are, for messages.

    Raises:
        InputError: A name is none of the source's, or a class is named twice.
    """
    keys: dict[str, str] = {}
    for key in wanted:
        name = class_named(key, source)
        if name is None:
            raise InputError(
                f"Expected `classes` to name classes of {where}, but got {key!r}. {nearest(key, source)}".rstrip()
            )
        if name in keys:
            raise InputError(
                f"Expected every class of {where} once in `classes`, but {keys[name]!r} and {key!r} both mean {name}."
            )
        keys[name] = key
    meanings = {name: wanted[key] for name, key in keys.items()}
    return {name: None if text is None else _canonical(text) for name, text in meanings.items()}


def _canonical(text: str) -> str:
    return canonical_expression(text) or text.strip().lower()


def meaning_among(names: Mapping[str, str | None], name: str, target: Sequence[str], where: str) -> str | None:
    """What a class of the source becomes among the classes of the target; None leaves it out.

    Args:
        names: What becomes of some classes, from `resolve_wanted`.
        name: The class.
        target: The classes wanted.
        where: Whose class it is, for messages.

    Raises:
        InputError: It is mapped to none of the target, or is none of them and not mapped.
    """
    if name in names:
        wanted = names[name]
        if wanted is not None and wanted not in target:
            raise InputError(
                f"Expected `classes` to map {name} of {where} to one of {', '.join(target)}, but got {wanted!r}. "
                f"{nearest(wanted, target)}"
            )
        return wanted
    meaning = class_named(name, target)
    if meaning is None:
        raise InputError(
            f"Expected the classes {', '.join(target)} in {where}, but got {name!r}. {nearest(name, target)} "
            f"Say what becomes of it: `classes: {{{name}: null}}` leaves it out."
        )
    return meaning
