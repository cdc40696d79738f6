"""Atomic writes: a file is there whole or not at all, also after a power cut."""

from __future__ import annotations

import errno
import glob
import json
import os
import re
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from ensemble.canonical import digest_of

__all__ = [
    "CHECKSUM", "DISK_ERRORS", "explain_os_error", "is_alive", "replacing", "sweep", "sweep_beside", "sync_files",
    "sync_folder", "write_checked_json", "write_json", "write_text",
]  # fmt: skip

CHECKSUM = "checksum"
"""Key of a JSON mapping's own checksum."""

DISK_ERRORS = (
    errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO, errno.EROFS, errno.EACCES, errno.EPERM,
    errno.ENAMETOOLONG, errno.ELOOP, errno.EISDIR, errno.ENOTDIR, errno.EEXIST,
)  # fmt: skip
"""What disks and file systems say no with: the user's to mend."""

_TEMPORARY = re.compile(r"\..+\.(\d+)\.tmp")


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Give a temporary sibling to write to; on success it is synced to disk and renamed over `path`.

    An exception leaves `path` as it was and removes the temporary file, and the folders that had to be made for it if
    nothing else is in them. A folder or a device is not replaced.
    """
    with _made(path.parent):
        if path.exists() and not path.is_file():
            raise FileExistsError(errno.EEXIST, "something else than a plain file is there", str(path))
        temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
        try:
            yield temporary
            with temporary.open("rb+") as file:
                os.fsync(file.fileno())
            temporary.replace(path)
        except BaseException as error:
            with suppress(OSError):
                temporary.unlink(missing_ok=True)
            if isinstance(error, OSError) and error.errno is not None and error.filename in (None, str(temporary)):
                error.filename = str(path)  # a failed write does not know where it was to
            raise
    sync_folder(path.parent)


@contextmanager
def _made(folder: Path) -> Iterator[None]:
    """Make a folder and those above it; if what is done in it fails, those that are still empty go again."""
    missing = [path for path in (folder, *folder.parents) if not path.exists()]  # deepest first
    try:
        folder.mkdir(parents=True, exist_ok=True)
        yield
    except BaseException:
        for path in missing:
            with suppress(OSError):
                path.rmdir()
        raise


def sweep(folder: Path) -> None:
    """Remove the temporary files that killed processes left in a folder and below; those of running ones stay."""
    _remove_left(folder.rglob(".*.tmp"))


def sweep_beside(path: Path) -> None:
    """Remove the temporary files of this one file that killed processes left beside it."""
    _remove_left(path.parent.glob(f".{glob.escape(path.name)}.*.tmp"))


def _remove_left(paths: Iterable[Path]) -> None:
    for path in paths:
        match = _TEMPORARY.fullmatch(path.name)
        if match and not is_alive(int(match[1])):
            with suppress(OSError):
                path.unlink(missing_ok=True)


def is_alive(process: int) -> bool:
    """Whether a process of that number runs on this machine."""
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except (OSError, OverflowError):
        return True  # of another user
    return True


def explain_os_error(error: OSError) -> str:
    """A failed read or write in words: where it happened, and what to do."""
    place = f"`{error.filename}`" if error.filename else "a file"
    return (
        f"Expected to be able to read and write {place}, but got: {error.strerror or error}. "
        f"Free space or mend the permissions and run the same command again; what was finished is kept."
    )


def sync_files(folder: Path) -> None:
    """Make the content of all files right inside `folder` durable."""
    for path in folder.iterdir():
        if path.is_file():
            with path.open("rb+") as file:
                os.fsync(file.fileno())
    sync_folder(folder)


def sync_folder(folder: Path) -> None:
    """Make renames inside `folder` durable."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        with suppress(OSError):  # some network file systems cannot
            os.fsync(descriptor)
    finally:
        os.close(descriptor)


def write_text(path: Path, text: str) -> None:
    """Write UTF-8 text atomically."""
    with replacing(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def write_json(path: Path, value: Any) -> None:
    """Write indented JSON atomically; NaN and infinity are refused."""
    write_text(path, json.dumps(value, indent=2, ensure_ascii=False, allow_nan=False) + "\n")


def write_checked_json(path: Path, content: dict[str, Any]) -> None:
    """Write a JSON mapping with a checksum of its own: sha256 over the canonical JSON of all the other keys."""
    write_json(path, {**content, CHECKSUM: digest_of(content)})
