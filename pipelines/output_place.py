"""Where results may be written: never over what the user, or another command, has put there."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from backbones.errors import InputError
from pipelines.bundle import read_json

__all__ = ["check_derived", "check_file", "check_own", "whole_or_gone"]


def check_file(
    path: Path,
    *,
    suffixes: Sequence[str],
    ours: Callable[[Path], bool],
    inputs: Iterable[Path] = (),
    option: str = "--out",
) -> None:
    """Refuse an output file before any work is done.

    Args:
        path: The file; an earlier result there is replaced.
        suffixes: Endings that it may have.
        ours: Whether a file is an earlier result of this kind; an empty file is nobody's.
        inputs: Files that are read, none of which it may be.
        option: What named it.

    Raises:
        InputError: Another ending, a folder that is absent or cannot be written to, something there that is no
            plain file, one of the inputs, or a file that is no earlier result.
    """
    if path.suffix not in suffixes:
        raise InputError(f"Expected `{option}` to end in one of {', '.join(suffixes)}, but got {path.name!r}.")
    folder = path.parent
    if not folder.is_dir() or not os.access(folder, os.W_OK):
        reason = "which may not be written to" if folder.is_dir() else "which is no folder: make it first"
        raise InputError(f"Expected `{option}` to lie in a folder to write to, but got `{folder}`, {reason}.")
    if path.exists() and not path.is_file():
        what = "a folder" if path.is_dir() else "no plain file"
        raise InputError(f"Expected `{option}` to be a file, but `{path}` is {what}. Choose another name.")
    if path.exists() and any(one.exists() and path.samefile(one) for one in inputs):
        raise InputError(
            f"Expected `{option}` to be another file than those that are read, but got `{path}`, which would be lost."
        )
    if path.exists() and path.stat().st_size and not ours(path):
        raise InputError(
            f"Expected `{option}` to be a new file or an earlier result, but `{path}` is another file, which would be "
            f"lost. Choose another name."
        )


def check_derived(target: Path, source: Path, *, mark: str) -> None:
    """Refuse a folder for what is made of a committee, unless it is free or holds such a thing already.

    Args:
        target: The folder.
        source: The committee's.
        mark: Name of the JSON file in a folder of this kind that tells which committee it was made of.

    Raises:
        InputError: It is the committee's own folder or lies in it, or other files are there.
    """
    if target.resolve() == source.resolve() or source.resolve() in target.resolve().parents:
        raise InputError(f"Expected `--out` to be another folder than that of the committee, but got `{target}`.")
    if _is_free(target):
        return
    if not (target / mark).is_file() or read_json(target / mark).get("committee") != source.name:
        raise InputError(
            f"Expected `{target}` to be free, or to hold what was made of `{source.name}` before, but other files lie "
            f"there. Name another folder with `--out`."
        )


def check_own(target: Path, *, mark: str, kind: str) -> None:
    """Refuse a folder for results, unless it is free or earlier ones are there.

    Args:
        target: The folder.
        mark: Name of the JSON file that tells the `format` of what lies there.
        kind: That format.

    Raises:
        InputError: It is a file, or other files are there.
    """
    if _is_free(target):
        return
    if not (target / mark).is_file() or read_json(target / mark).get("format") != kind:
        raise InputError(
            f"Expected `--out` to be a new or empty folder, or one of an earlier call, but other files lie in "
            f"`{target}`. Name another folder."
        )


@contextmanager
def whole_or_gone(folder: Path) -> Iterator[None]:
    """Remove a folder in which nothing but its lock lay, if what is to fill it fails; whoever calls holds the lock."""
    empty = all(path.name == ".lock" for path in folder.iterdir())
    try:
        yield
    except BaseException:
        if empty:
            shutil.rmtree(folder, ignore_errors=True)
        raise


def _is_free(folder: Path) -> bool:
    """Whether nothing would be lost there; a lock, or what a killed process began, is nothing.

    Raises:
        InputError: It is a file.
    """
    if not folder.exists():
        return True
    if not folder.is_dir():
        raise InputError(f"Expected `--out` to be a folder, but `{folder}` is a file.")
    return all(path.name == ".lock" or path.suffix == ".tmp" for path in folder.iterdir())
