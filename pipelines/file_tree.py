"""Folders, zips and tars as one thing: a list of safe names and the bytes behind each of them.

Nothing is ever unpacked to disk. Names that would point outside the tree are refused, because a reader turns names
into ids, groups and places in the cache.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from backbones.errors import InputError
from backbones.limits import IMAGE_FILE_BYTES, MEMBERS, check_size
from pipelines.archive import archive_names, hidden, is_archive, open_in_archive, stream_archive
from pipelines.skip_report import SkipReport

__all__ = ["file_names", "is_archive", "is_empty", "open_file", "read_image", "stream_files"]


def is_empty(source: Path) -> bool:
    """Whether the file has no byte, or the folder no entry."""
    return not any(source.iterdir()) if source.is_dir() else source.stat().st_size == 0


def file_names(source: Path) -> Sequence[str]:
    """Posix paths of the files in a folder (sorted) or an archive (its own order), without hidden files.

    Raises:
        InputError: The archive is damaged, or holds what none should (see `archive_names`); or a link in the folder
            leads out of it or nowhere, or there is a device or a pipe.
    """
    return _folder_names(source) if source.is_dir() else archive_names(source)


def stream_files(source: Path, names: Sequence[str], skipped: SkipReport | None = None) -> Iterator[tuple[str, bytes]]:
    """Yield (name, content) of the named images, in the order given, which must be that of `file_names`.

    Args:
        source: A folder or an archive.
        names: Images in it.
        skipped: Told of single files that cannot be read, which are then left out; None raises for them.

    Raises:
        InputError: The archive is damaged, or a file is too large to be an image.
    """
    if not source.is_dir():
        yield from stream_archive(source, names, skipped)
        return
    for name in names:
        try:
            data = read_image(source / name)
        except InputError as error:
            if skipped is None:
                raise
            skipped.add(str(source / name), str(error))
        else:
            yield name, data


def read_image(path: Path) -> bytes:
    """The bytes of an image file.

    Raises:
        InputError: It is no plain file, cannot be read, or is too large.
    """
    try:
        check_size(path, IMAGE_FILE_BYTES, "an image file")
        return path.read_bytes()
    except OSError as error:
        raise InputError(f"Expected `{path}` to be an image file, but got: {error.strerror}.") from None


@contextmanager
def open_file(source: Path, name: str) -> Iterator[IO[bytes]]:
    """Open one file of a folder or an archive for reading.

    Raises:
        InputError: The archive is damaged.
    """
    if source.is_dir():
        with (source / name).open("rb", buffering=1 << 20) as file:
            yield file
        return
    with open_in_archive(source, name) as file:
        yield file


def _folder_names(folder: Path) -> list[str]:
    names: list[str] = []
    root, folders = folder.resolve(), [""]
    while folders:
        below = folders.pop()
        with os.scandir(folder / below) as entries:
            for entry in entries:
                if hidden(entry.name):
                    continue
                name = f"{below}{entry.name}"
                if entry.is_symlink():
                    _check_link(folder / name, root)
                if entry.is_dir():
                    folders += [] if entry.is_symlink() else [f"{name}/"]  # what it leads to is in the tree itself
                elif entry.is_file():
                    names.append(name)
                else:
                    raise InputError(f"Expected plain files in {folder}, but `{name}` is a pipe or a device.")
        if len(names) > MEMBERS:
            raise InputError(f"Expected at most {MEMBERS:,} files in {folder}, but got more.")
    return sorted(names)


def _check_link(link: Path, root: Path) -> None:
    target = Path(os.path.realpath(link))  # `resolve` raises at links in a circle
    if not target.is_relative_to(root):
        raise InputError(
            f"Expected everything in {root} to lie there, but `{link}` is a link to `{target}`. "
            "Copy what is meant, or name the folder that holds it."
        )
    if not target.exists():
        raise InputError(f"Expected a file behind the link `{link}`, but there is no `{target}`. Remove the link.")
