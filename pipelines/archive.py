"""Zips and tars, read in place and within limits: the names in them, and the bytes behind each name.

Nothing is ever unpacked to disk. Names that point outside the archive, links, devices and decompression bombs are
refused as a whole, because whoever makes such an archive means no good, or packed something else than was meant.
"""

from __future__ import annotations

import lzma
import stat
import tarfile
import zipfile
import zlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path
from typing import IO, cast

from backbones.errors import InputError
from backbones.limits import IMAGE_FILE_BYTES, MEMBERS, check_unpacked, check_zip
from pipelines.careful_tar import open_tar
from pipelines.skip_report import SkipReport

__all__ = ["archive_names", "hidden", "is_archive", "open_in_archive", "stream_archive"]

_TAR = (".tar", ".tar.gz", ".tgz", ".tar.bz2", ".tbz2", ".tar.xz", ".txz")
# zipfile reports an encrypted or unknown compression as RuntimeError; names in no encoding raise a ValueError.
_DAMAGED = (
    zipfile.BadZipFile, tarfile.TarError, zlib.error, lzma.LZMAError, EOFError, RuntimeError, OSError, ValueError,
    OverflowError,
)  # fmt: skip
_HEADER_BYTES = 1 << 20
"""What tarfile may read at once beside the files' content: long names and the like."""

_DIRECTORY_ENTRY = b"PK\x01\x02"
_DIRECTORY_END = b"PK\x05\x06"
_END_BYTES = 22 + (1 << 16)


def is_archive(source: Path) -> bool:
    """Whether the name is that of a zip or a tar."""
    return source.is_file() and source.name.lower().endswith((".zip", *_TAR))


def archive_names(archive: Path) -> Sequence[str]:
    """Posix paths of the files in an archive, in its own order, without hidden ones.

    Raises:
        InputError: The archive is damaged or a decompression bomb, or holds too many files, links, devices, or names
            that point outside it.
    """
    facts = archive.stat()
    return _names(archive, facts.st_size, facts.st_mtime_ns)


def stream_archive(archive: Path, names: Sequence[str], skipped: SkipReport | None) -> Iterator[tuple[str, bytes]]:
    """Yield (name, content) of the named files, in the order given, which must be that of `archive_names`.

    Args:
        archive: A zip or a tar.
        names: Files in it.
        skipped: Told of single files that cannot be read; None raises for them.

    Raises:
        InputError: The archive is damaged, or a file in it is too large to be an image.
    """
    with _readable(archive):
        yield from _stream_zip(archive, names, skipped) if _is_zip(archive) else _stream_tar(archive, names, skipped)


@contextmanager
def open_in_archive(archive: Path, name: str) -> Iterator[IO[bytes]]:
    """Open one file for reading.

    Raises:
        InputError: The archive is damaged.
    """
    with _readable(archive):
        if _is_zip(archive):
            with zipfile.ZipFile(archive) as opened, opened.open(_zip_info(opened)[name]) as file:
                yield file
        else:
            with open_tar(archive, most=IMAGE_FILE_BYTES) as tar:
                member = next(m for m in tar if m.isfile() and _posix(m.name) == name)
                with cast("IO[bytes]", tar.extractfile(member)) as file:
                    yield file


# Listing a zip of 30,000 faces takes a third of a second, and several readers look at the same archive in turn.
@lru_cache(maxsize=4)
def _names(archive: Path, _size: int, _modified: int) -> tuple[str, ...]:
    with _readable(archive):
        names = _zip_names(archive) if _is_zip(archive) else _tar_names(archive)
    return tuple(name for name in names if not any(map(hidden, name.split("/"))))


def _zip_names(archive: Path) -> list[str]:
    _check_directory(archive)
    with zipfile.ZipFile(archive) as opened:
        infos = opened.infolist()
    check_zip(archive, infos)
    names = []
    for info in infos:
        _refuse_link(archive, info.filename, link=stat.S_ISLNK(info.external_attr >> 16))
        if not info.is_dir():
            names.append(_safe(info.filename, archive))
    return names


def _tar_names(archive: Path) -> list[str]:
    names: list[str] = []
    unpacked = 0
    with open_tar(archive, most=_HEADER_BYTES) as tar:
        for member in tar:
            tar.members = []  # type: ignore[attr-defined]  # else every header stays in memory
            _check_member(archive, member)
            unpacked += member.size  # told by the header, before anything of the content is unpacked
            check_unpacked(archive, unpacked)
            if member.isfile():
                names.append(_safe(member.name, archive))
            if len(names) > MEMBERS:
                _refuse_members(archive, len(names))
    return names


def _check_member(archive: Path, member: tarfile.TarInfo) -> None:
    _refuse_link(archive, member.name, link=member.issym() or member.islnk())
    if not (member.isfile() or member.isdir()):
        raise InputError(f"Expected files in the archive {archive}, but {member.name!r} is a device or a pipe.")
    if member.size < 0:  # tarfile would go back, and read it again
        raise tarfile.ReadError(f"{member.name!r} has {member.size} bytes")


def _check_directory(archive: Path) -> None:
    """Refuse a zip with too many entries before zipfile makes an object of each."""
    with archive.open("rb") as file:
        file.seek(max(0, archive.stat().st_size - _END_BYTES))
        end = file.read()
        place = end.rfind(_DIRECTORY_END)
        if place < 0 or len(end) < place + 16:
            return  # zipfile says what is wrong
        size = int.from_bytes(end[place + 12 : place + 16], "little")
        if size <= 46 * MEMBERS:  # the least that so many entries take; a zip64 has the largest number here
            return
        file.seek(0 if size == 0xFFFFFFFF else max(0, archive.stat().st_size - len(end) + place - size))
        count = sum(chunk.count(_DIRECTORY_ENTRY) for chunk in iter(lambda: file.read(1 << 24), b""))
    if count > MEMBERS:
        _refuse_members(archive, count)


def _refuse_members(archive: Path, count: int) -> None:
    raise InputError(f"Expected at most {MEMBERS:,} files in the archive {archive}, but got {count:,} or more.")


def _refuse_link(archive: Path, name: str, *, link: bool) -> None:
    if link and not any(map(hidden, _posix(name).split("/"))):
        raise InputError(
            f"Expected files in the archive {archive}, but {name!r} is a link, and links are not followed. "
            "Pack the file itself: `tar --dereference --hard-dereference`."
        )


def _stream_zip(archive: Path, names: Sequence[str], skipped: SkipReport | None) -> Iterator[tuple[str, bytes]]:
    with zipfile.ZipFile(archive) as opened:
        infos = _zip_info(opened)
        for name in names:
            try:
                _check_file(archive, name, infos[name].file_size)
                with _readable(archive):
                    data = opened.read(infos[name])
            except InputError as error:
                if skipped is None:
                    raise
                skipped.add(f"{archive}/{name}", str(error))
            else:
                yield name, data


def _stream_tar(archive: Path, names: Sequence[str], skipped: SkipReport | None) -> Iterator[tuple[str, bytes]]:
    wanted = set(names)
    with open_tar(archive, most=IMAGE_FILE_BYTES) as tar:
        for member in tar:
            tar.members = []  # type: ignore[attr-defined]
            name = _posix(member.name)
            if not member.isfile() or name not in wanted:
                continue
            try:
                _check_file(archive, name, member.size)
            except InputError as error:
                if skipped is None:
                    raise
                skipped.add(f"{archive}/{name}", str(error))
            else:
                yield name, cast("IO[bytes]", tar.extractfile(member)).read()


def _check_file(archive: Path, name: str, size: int) -> None:
    if size > IMAGE_FILE_BYTES:
        raise InputError(
            f"Expected {archive}: {name} to be an image of at most {IMAGE_FILE_BYTES:,} bytes, but got {size:,}."
        )


def _zip_info(opened: zipfile.ZipFile) -> dict[str, zipfile.ZipInfo]:
    return {_posix(info.filename): info for info in opened.infolist()}


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


def hidden(part: str) -> bool:
    """Whether a file or folder of that name is left out."""
    return part.startswith(".") or part == "__MACOSX"


def _posix(name: str) -> str:
    # Some Windows tools write backslashes into archives.
    return "/".join(part for part in name.replace("\\", "/").split("/") if part not in ("", "."))


def _safe(name: str, archive: Path) -> str:
    parts = name.replace("\\", "/").split("/")
    if ".." in parts or parts[0] == "" or parts[0].endswith(":"):
        raise InputError(f"Expected names inside the archive {archive}, but got {name!r}, which points outside it.")
    return _posix(name)
