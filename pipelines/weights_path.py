"""Where weights files are looked for."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from pathlib import Path

from ensemble.spec import DataSpec

__all__ = ["find_weights", "installation_folder", "usual_folders"]

_FOLDERS = "ENSEMBLE_WEIGHTS"
_USUAL = "weights"


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
    searched = list(dict.fromkeys([*_own_folders(), *folders]))
    found = next((folder / path for folder in searched if (folder / path).is_file()), None)
    return found, ", ".join(f"`{folder}`" for folder in searched)


def usual_folders(source: DataSpec | None, folder: Path) -> Iterator[Path]:
    """Folders that weights are looked for in besides the YAML's own."""
    for base in (folder, Path()):
        yield base / _USUAL
    yield Path()
    if source is not None and source.source != "synthetic":
        yield Path(source.source).parent.parent / _USUAL  # data/ and weights/ side by side


def installation_folder() -> Path:
    """Where weights are put that nobody has named a folder for: the first of `$ENSEMBLE_WEIGHTS`, or `weights`."""
    return next(iter(_own_folders()), Path(_USUAL))


def _own_folders() -> list[Path]:
    return [Path(folder).expanduser() for folder in os.environ.get(_FOLDERS, "").split(os.pathsep) if folder]
