"""Where pretrained weights are looked for."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

__all__ = ["find_weights"]


def find_weights(name: str, folders: Sequence[Path]) -> tuple[Path | None, str]:
    """Find a weights file.

    Args:
        name: A path, or the name of a file in one of the folders.
        folders: Searched in order, after `$ENSEMBLE_WEIGHTS`.

    Returns:
        The file or None, and in words where it was looked for.
    """
    path = Path(name).expanduser()
    if path.is_absolute():
        return (path if path.is_file() else None), f"`{path.parent}`"
    searched = [Path(f) for f in os.environ.get("ENSEMBLE_WEIGHTS", "").split(os.pathsep) if f] + list(folders)
    searched = list(dict.fromkeys(searched))
    found = next((folder / path for folder in searched if (folder / path).is_file()), None)
    return found, ", ".join(f"`{folder}`" for folder in searched)
