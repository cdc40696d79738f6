"""Paths that may begin with `~`, as they stand in a YAML, a variable or an option."""

from __future__ import annotations

from pathlib import Path

from backbones.errors import InputError

__all__ = ["expanded"]


def expanded(path: str | Path) -> Path:
    """The path with the home folder in place of `~` or `~USER`.

    Raises:
        InputError: There is no such user.
    """
    try:
        return Path(path).expanduser()
    except RuntimeError:
        user = Path(path).parts[0]
        raise InputError(
            f"Expected `{path}` to begin with a home folder, but there is none for `{user}`. "
            f"Name the whole path; for a file whose name begins so, `./{path}`."
        ) from None
