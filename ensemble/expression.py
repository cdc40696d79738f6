"""The expression classes, their order, and the names other data sets give them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence

from backbones.errors import InputError, nearest

__all__ = ["EXPRESSIONS", "UNCERTAIN", "canonical_classes", "canonical_expression", "class_index", "class_named"]

EXPRESSIONS: tuple[str, ...] = ("angry", "disgust", "fear", "happy", "sad", "surprise", "neutral")
"""FER2013's classes 0..6, in order: the default class list everywhere."""

UNCERTAIN = "uncertain"
"""Stands where a face's label would, if the committee is not sure enough of it. No class may have this name."""

_SYNONYMS = {
    "angry": ("anger", "an", "ang", "0"),
    "disgust": ("disgusted", "di", "dis", "1"),
    "fear": ("fearful", "afraid", "fe", "scared", "2"),
    "happy": ("happiness", "joy", "ha", "hap", "3"),
    "sad": ("sadness", "sa", "4"),
    "surprise": ("surprised", "su", "sur", "5"),
    "neutral": ("ne", "neu", "calm", "6"),
}
_BY_NAME = {name: target for target, names in _SYNONYMS.items() for name in (target, *names)}


def canonical_expression(name: str) -> str | None:
    """The name among `EXPRESSIONS` that another data set's `name` means, or None.

    Example:
        >>> canonical_expression("Happiness")
        'happy'
        >>> canonical_expression("contempt") is None
        True
    """
    return _BY_NAME.get(name.strip().lower())


def canonical_classes(names: Iterable[str]) -> tuple[tuple[str, ...], dict[str, str]]:
    """Choose the class list of a data set and map its own names onto it.

    If every name means one of `EXPRESSIONS`, that is the class list. Otherwise the data set carries its own: the
    expressions it has, in `EXPRESSIONS` order, then its other names, sorted. Of several names that mean one expression,
    all but its own keep to themselves: whether they are one class is for the user to say.

    Args:
        names: The class names as found (folder names, say).

    Returns:
        The class list, and for every name found its class.

    Raises:
        InputError: Two of the names differ in case alone, or there are fewer than two.

    Example:
        >>> canonical_classes(["joy", "contempt"])
        (('happy', 'contempt'), {'contempt': 'contempt', 'joy': 'happy'})
    """
    plain = {name: name.strip().lower() for name in sorted(set(names))}
    meant = Counter(canonical_expression(name) for name in plain)
    found = {n: e if (e := canonical_expression(n)) and meant[e] == 1 else own for n, own in plain.items()}
    targets = list(found.values())
    twice = sorted({t for t in targets if targets.count(t) > 1})
    if twice:
        raise InputError(f"Expected one name per class, but got {sorted(found)}: more than one means {twice}.")
    if len(found) < 2:
        raise InputError(f"Expected at least 2 classes, but got {sorted(found)}.")
    if set(targets) <= set(EXPRESSIONS):
        return EXPRESSIONS, found
    own = [e for e in EXPRESSIONS if e in targets] + sorted(set(targets) - set(EXPRESSIONS))
    return tuple(own), found


def class_index(name: str, classes: Sequence[str]) -> int:
    """Index of a class given by name, synonym or number.

    Raises:
        InputError: The name is none of `classes`.
    """
    wanted = class_named(name, classes)
    if wanted is None:
        raise InputError(f"Expected a class of {list(classes)}, but got {name!r}. {nearest(name, classes)}")
    return list(classes).index(wanted)


def class_named(name: str, classes: Sequence[str]) -> str | None:
    """The class that a name means, by itself, in other letters, or as a synonym; None if it means none of them.

    Example:
        >>> class_named("Joy", ["happy", "contempt"]), class_named("joy", ["joy", "contempt"])
        ('happy', 'joy')
    """
    options = (name, name.strip().lower(), canonical_expression(name))
    return next((option for option in options if option is not None and option in classes), None)
