"""Folders, zips and tars as one thing: a list of safe names and the bytes behind each of them.

Nothing is ever unpacked to disk. Names that would point outside the tree are refused, because a reader turns names
into ids, groups and places in the cache.
"""

from __future__ import annotations

import os
import tarfile
import zipfile
import zlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path
from typing import IO

from backbones.errors import InputError

__all__ = ["file_names", "is_archive", "is_empty", "open_file", "stream_files"]

_TAR = (".tar", ".tar.gz", ".tgz", ".tar.bz2", ".tbz2", ".tar.xz", ".txz")
# zipfile reports an encrypted or unknown compression as RuntimeError.
_DAMAGED = (zipfile.BadZipFile, tarfile.TarError, zlib.error, EOFError, RuntimeError, OSError)


def is_archive(source: Path) -> bool:
    """Whether the name is that of a zip or a tar."""
    return source.is_file() and source.name.lower().endswith((".zip", *_TAR))


def is_empty(source: Path) -> bool:
    """Whether the file has no byte, or the folder no entry."""
    return not any(source.iterdir()) if source.is_dir() else source.stat().st_size == 0


def file_names(source: Path) -> Sequence[str]:
    """Posix paths of the files in a folder (sorted) or an archive (its own order), without hidden files.

    Raises:
        InputError: The archive is damaged, or a name is absolute or holds `..`.
    """
    if source.is_dir():
        return _folder_names(source)
    stat = source.stat()
    return _archive_names(source, stat.st_size, stat.st_mtime_ns)


def stream_files(source: Path, names: Sequence[str]) -> Iterator[tuple[str, bytes]]:
    """Yield (name, content) of the named files, in the order given, which must be that of `file_names`.

    Raises:
        InputError: The archive is damaged.
    """
    if source.is_dir():
        for name in names:
            yield name, (source / name).read_bytes()
        return
    with _readable(source):
        yield from _stream_zip(source, names) if _is_zip(source) else _stream_tar(source, names)


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
    with _readable(source):
        if _is_zip(source):
            with zipfile.ZipFile(source) as archive, archive.open(_zip_info(archive)[name]) as file:
                yield file
        else:
            yield from _open_in_tar(source, name)


def _folder_names(folder: Path) -> list[str]:
    names: list[str] = []
    for parent, folders, files in os.walk(folder):
        folders[:] = [f for f in folders if not _hidden(f)]
        below = os.path.relpath(parent, folder).replace(os.sep, "/")
        names += [f if below == "." else f"{below}/{f}" for f in files if not _hidden(f)]
    return sorted(names)


# Listing a zip of 30,000 faces takes a third of a second, and several readers look at the same archive in turn.
@lru_cache(maxsize=4)
def _archive_names(archive: Path, _size: int, _modified: int) -> tuple[str, ...]:
    with _readable(archive):
        if _is_zip(archive):
            with zipfile.ZipFile(archive) as opened:
                names = [_safe(i.filename, archive) for i in opened.infolist() if not i.is_dir()]
        else:
            with tarfile.open(archive) as tar:
                names = [_safe(member.name, archive) for member in tar if member.isfile()]
    return tuple(name for name in names if not any(map(_hidden, name.split("/"))))


def _stream_zip(archive: Path, names: Sequence[str]) -> Iterator[tuple[str, bytes]]:
    with zipfile.ZipFile(archive) as opened:
        infos = _zip_info(opened)
        for name in names:
            yield name, opened.read(infos[name])


def _zip_info(opened: zipfile.ZipFile) -> dict[str, zipfile.ZipInfo]:
    return {_posix(info.filename): info for info in opened.infolist()}


def _stream_tar(archive: Path, names: Sequence[str]) -> Iterator[tuple[str, bytes]]:
    wanted = set(names)
    with tarfile.open(archive) as tar:
        for member in tar:
            name = _posix(member.name)
            if member.isfile() and name in wanted:
                file = tar.extractfile(member)
                assert file is not None  # only for members that are no files
                yield name, file.read()


def _open_in_tar(archive: Path, name: str) -> Iterator[IO[bytes]]:
    with tarfile.open(archive) as tar:
        member = next(m for m in tar if m.isfile() and _posix(m.name) == name)
        file = tar.extractfile(member)
        assert file is not None  # only for members that are no files
        with file:
            yield file


@contextmanager
def _readable(archive: Path) -> Iterator[None]:
    try:
        yield
    except InputError:
        raise
    except _DAMAGED as error:
        raise InputError(
            f"Expected {archive} to be a readable, unencrypted archive, but got: {error}. Was it fetched completely?"
        ) from error


def _is_zip(archive: Path) -> bool:
    return archive.name.lower().endswith(".zip")


def _hidden(part: str) -> bool:
    return part.startswith(".") or part == "__MACOSX"


def _posix(name: str) -> str:
    # Some Windows tools write backslashes into archives.
    return "/".join(part for part in name.replace("\\", "/").split("/") if part not in ("", "."))


def _safe(name: str, archive: Path) -> str:
    parts = name.replace("\\", "/").split("/")
    if ".." in parts or parts[0] == "" or parts[0].endswith(":"):
        raise InputError(f"Expected names inside the archive {archive}, but got {name!r}, which points outside it.")
    return _posix(name)
