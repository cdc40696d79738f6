"""The product's one error family and its grammar.

Every message names what was expected and what came instead, then the place, then the remedy. This module imports
nothing but the standard library, because every other module may raise these errors.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Sequence

__all__ = ["EnsembleError", "InputError", "MisfitError", "Problem", "nearest", "reason_of"]


class EnsembleError(Exception):
    """Base class of every error that `ensemble` raises on purpose."""


class InputError(EnsembleError, ValueError):
    """What the user handed over is wrong: printed without a traceback, exit code 2."""


class MisfitError(InputError):
    """Weights that are whole are of another network than the one they are given to."""


class Problem(str):
    """One line of a report on wrong input: `place: message`.

    Example:
        >>> Problem.at("members[3].head.kind", "Expected a head, but got 'liner'.")
        "members[3].head.kind: Expected a head, but got 'liner'."
    """

    __slots__ = ()

    @classmethod
    def at(cls, place: str, message: str) -> Problem:
        """Put the place before the message; an empty place is left out."""
        return cls(f"{place}: {message}" if place else message)


def reason_of(error: BaseException, *, length: int = 200) -> str:
    """What another library's error says, in one short line.

    Example:
        >>> reason_of(KeyError("probs"))
        "it lacks 'probs'"
        >>> reason_of(EOFError())
        'EOFError'
    """
    if isinstance(error, KeyError):
        return f"it lacks {error}"[:length]
    return next((line for line in str(error).splitlines() if line.strip()), type(error).__name__)[:length]


def nearest(word: str, choices: Iterable[str]) -> str:
    """Say which valid name was probably meant, ready to end an error message.

    Args:
        word: The name that is not valid.
        choices: The valid names.

    Returns:
        A sentence: the nearest name, or all names if none is near and they are few.

    Example:
        >>> nearest("liner", ["linear", "mlp", "dal"])
        'Did you mean `linear`?'
        >>> nearest("zzz", ["linear", "mlp"])
        'Valid names: linear, mlp.'
    """
    names: Sequence[str] = sorted(set(choices))
    close = difflib.get_close_matches(str(word).lower(), names, n=1, cutoff=0.5)
    if close:
        return f"Did you mean `{close[0]}`?"
    shown = ", ".join(names[:12]) + (f", … ({len(names)} in all)" if len(names) > 12 else "")
    return f"Valid names: {shown}." if names else ""
