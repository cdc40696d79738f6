"""Where weights files are looked for."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from pathlib import Path

from ensemble.data_spec import DataSpec
from pipelines.home_path import expanded

__all__ = ["find_weights", "installation_folder", "search_folders"]

_FOLDERS = "ENSEMBLE_WEIGHTS"
_USUAL = "weights"


def find_weights(name: str, folders: Sequence[Path]) -> tuple[Path | None, str]:
    """Find a weights file.

    Args:
        name: A path, or the name of a file in one of the folders.
        folders: Searched in order.

    Returns:
        The file or None, and in words where it was looked for.

    Raises:
        InputError: The path begins with the home folder of nobody.
    """
    path = expanded(name)
    if path.is_absolute():
        return (path if path.is_file() else None), f"`{path.parent}`"
    searched = list(dict.fromkeys(folders))
    found = next((folder / path for folder in searched if (folder / path).is_file()), None)
    return found, ", ".join(f"`{folder}`" for folder in searched)


def search_folders(given: Sequence[Path], *, beside: Path | None = None, source: DataSpec | None = None) -> list[Path]:
    """Where weights are looked for, in order.

    Args:
        given: By the user, as `--weights`: these come first, then those of `$ENSEMBLE_WEIGHTS`.
        beside: The YAML's folder, if there is one.
        source: The data, beside which the usual folder may lie.
    """
    own = [] if beside is None else [beside]
    return [*given, *_own_folders(), *own, *_usual_folders(source, beside or Path())]


def _usual_folders(source: DataSpec | None, folder: Path) -> Iterator[Path]:
    """Folders that weights are looked for in when nobody has named any."""
    for base in (folder, Path()):
        yield base / _USUAL
    yield Path()
    if source is not None and source.source != "synthetic":
        yield Path(source.source).parent.parent / _USUAL  # data/ and weights/ side by side


def installation_folder() -> Path:
    """Where weights are put that nobody has named a folder for: the first of `$ENSEMBLE_WEIGHTS`, or `weights`."""
    return next(iter(_own_folders()), Path(_USUAL))


def _own_folders() -> list[Path]:
    return [expanded(folder) for folder in os.environ.get(_FOLDERS, "").split(os.pathsep) if folder]
