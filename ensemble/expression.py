"""The expression classes, their order, and the names other data sets give them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from backbones.errors import InputError, nearest

__all__ = ["EXPRESSIONS", "canonical_classes", "canonical_expression"]

EXPRESSIONS: tuple[str, ...] = ("angry", "disgust", "fear", "happy", "sad", "surprise", "neutral")
"""FER2013's classes 0..6, in order: the default class list everywhere."""

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
    expressions it has, in `EXPRESSIONS` order, then its other names, sorted.

    Args:
        names: The class names as found (folder names, say).

    Returns:
        The class list, and for every name found its class.

    Raises:
        InputError: Two of the names mean the same class, or there are fewer than two.

    Example:
        >>> canonical_classes(["joy", "contempt"])
        (('happy', 'contempt'), {'contempt': 'contempt', 'joy': 'happy'})
    """
    found = {name: canonical_expression(name) or name.strip().lower() for name in sorted(set(names))}
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
    wanted = name if name in classes else canonical_expression(name)
    if wanted is None or wanted not in classes:
        raise InputError(f"Expected a class of {list(classes)}, but got {name!r}. {nearest(name, classes)}")
    return list(classes).index(wanted)
