"""A folder of the cache that is made under another name and renamed when it is whole, and the marks of its files."""

from __future__ import annotations

import os
import platform
import re
import shutil
import uuid
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from pipelines.atomic import is_alive, sync_files
from pipelines.lock import locked

__all__ = ["file_mark", "file_marks", "making"]

_ABANDONED_SECONDS = 24 * 3600
_LEFT = re.compile(r"\.[0-9a-f]{32}\.(?P<host>.+)\.(?P<process>\d+)\.[0-9a-f]{8}")


def file_marks(folder: Path) -> dict[str, tuple[int, int]]:
    """Size and CRC-32 of every file in a folder."""
    return {file.name: file_mark(file) for file in sorted(folder.iterdir())}


def file_mark(path: Path) -> tuple[int, int]:
    """Size and CRC-32 of a file; (-1, 0) if there is none."""
    crc = size = 0
    try:
        with path.open("rb") as file:
            while block := file.read(1 << 20):
                crc, size = zlib.crc32(block, crc), size + len(block)
    except OSError:
        return -1, 0
    return size, crc


@contextmanager
def making(folder: Path, *, is_there: Callable[[], bool], guard: Path) -> Iterator[Path]:
    """Give a temporary sibling of `folder`, renamed to it on success and removed otherwise.

    Args:
        folder: What is made.
        is_there: Whether it is there already: another process may be faster, with the same result.
        guard: Folder whose lock is held while `folder` is replaced; two that replace a damaged one would else remove
            each other's.
    """
    temporary = folder.with_name(f".{folder.name}.{platform.node()}.{os.getpid()}.{uuid.uuid4().hex[:8]}")
    temporary.mkdir(parents=True)
    _remove_abandoned(temporary)
    try:
        yield temporary
        sync_files(temporary)
        with locked(guard, wait=True):
            _rename(temporary, folder, is_there)
    except OSError as error:
        if error.errno is not None and error.filename is None:
            error.filename = str(folder)  # a failed write does not know where it was to
        raise
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def _rename(temporary: Path, folder: Path, is_there: Callable[[], bool]) -> None:
    if is_there():
        return
    shutil.rmtree(folder, ignore_errors=True)
    try:
        temporary.rename(folder)
    except OSError:
        if not is_there():
            raise


def _remove_abandoned(temporary: Path) -> None:
    """Remove what killed processes left behind: at once those of this machine, those of others when they are a day old.

    Args:
        temporary: Has just been made, so that its time is the file system's, whatever this machine's clock says.
    """
    for left in temporary.parent.glob(".*"):
        match = _LEFT.fullmatch(left.name)
        here = match is not None and match["host"] == platform.node()
        with suppress(OSError):
            age = temporary.stat().st_mtime - left.stat().st_mtime
            abandoned = not is_alive(int(match["process"])) if match and here else age > _ABANDONED_SECONDS
            if abandoned and left != temporary:
                shutil.rmtree(left, ignore_errors=True)
