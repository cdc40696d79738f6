"""An array on disk that is filled block by block: resumable, with a checksum per block, memory-mapped to read.

While it is filled it lies under another name. Its checksums lie beside it, in a JSON file that is written after each
block: what they do not confirm is computed again.
"""

from __future__ import annotations

import json
import os
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from pipelines.atomic import sync_folder, write_json
from pipelines.lock import locked

__all__ = ["BlockFile", "open_or_make", "open_whole", "reserve"]

_PART = ".part.npy"


class BlockFile:
    """An array being filled.

    Args:
        path: The `.npy` file that it becomes.
        shape: Rows first.
        dtype: Of its values.
        block: Rows per block.

    Attributes:
        done: Rows that are there and confirmed by their checksums.

    Raises:
        OSError: The disk has no room for it.
    """

    def __init__(self, path: Path, *, shape: tuple[int, ...], dtype: npt.DTypeLike, block: int) -> None:
        self.path, self.shape, self.block = path, shape, block
        self.dtype: np.dtype[Any] = np.dtype(dtype)
        self.part = path.with_name(path.stem + _PART)
        if path.is_file() and not self.part.is_file():
            path.replace(self.part)  # a damaged one: its whole blocks are kept
        self.sums = self._confirmed()
        self.done = min(len(self.sums) * block, shape[0])
        self._rows = self._open()

    def missing(self) -> Iterator[tuple[int, int]]:
        """First and last row but one of every block that is still to be computed."""
        for start in range(self.done, self.shape[0], self.block):
            yield start, min(start + self.block, self.shape[0])

    def write(self, start: int, values: npt.NDArray[Any]) -> None:
        """Store the next block and make it durable."""
        stop = start + len(values)
        self._rows[start:stop] = values
        self._rows.flush()
        self.sums.append(_checksum(self._rows[start:stop]))
        write_json(
            _notes(self.path), {"shape": self.shape, "dtype": self.dtype.str, "block": self.block, "sums": self.sums}
        )
        self.done = stop

    def finish(self) -> None:
        """Give the file its name: it is whole."""
        del self._rows
        self.part.replace(self.path)
        sync_folder(self.path.parent)

    def _confirmed(self) -> list[int]:
        """Checksums of the leading blocks that are there and whole."""
        try:
            rows = np.load(self.part, mmap_mode="r")
        except (OSError, ValueError, EOFError):
            return []
        notes = _read_notes(self.path)
        if rows.shape != self.shape or rows.dtype != self.dtype or notes is None or notes["block"] != self.block:
            return []
        return _whole(rows, notes)

    def _open(self) -> np.memmap:
        if self.done:
            return np.lib.format.open_memmap(self.part, mode="r+")
        self.path.parent.mkdir(parents=True, exist_ok=True)
        rows = np.lib.format.open_memmap(self.part, mode="w+", dtype=self.dtype, shape=self.shape)
        reserve(self.part)
        return rows


def open_whole(path: Path) -> npt.NDArray[Any] | None:
    """The finished array, memory-mapped; None if it is absent or a checksum does not confirm it."""
    try:
        rows = np.load(path, mmap_mode="r")
    except (OSError, ValueError, EOFError):
        return None
    notes = _read_notes(path)
    if notes is None or list(rows.shape) != notes["shape"] or rows.dtype.str != notes["dtype"]:
        return None
    blocks = -(-len(rows) // notes["block"])
    return rows if len(_whole(rows, notes)) == blocks == len(notes["sums"]) else None


def open_or_make(path: Path, make: Callable[[], None], *, guard: Path) -> npt.NDArray[Any]:
    """The finished array, memory-mapped; made first if it is not there, by one process while others wait for it.

    Args:
        path: The `.npy` file.
        make: Fills and finishes a `BlockFile` of that path.
        guard: Folder whose lock is held meanwhile.
    """
    rows = open_whole(path)
    if rows is None:
        with locked(guard, wait=True):
            rows = open_whole(path)  # another process may have been at it
            if rows is None:
                make()
                rows = open_whole(path)
    assert rows is not None  # it has just been made
    return rows


def reserve(path: Path) -> None:
    """Take the room of a file on the disk, since writing to a mapped file on a full disk ends the process.

    Raises:
        OSError: There is not so much room.
    """
    try:
        with path.open("rb+") as file:
            os.posix_fallocate(file.fileno(), 0, path.stat().st_size)
    except OSError as error:
        path.unlink(missing_ok=True)
        error.filename = str(path)
        raise


def _whole(rows: npt.NDArray[Any], notes: dict[str, Any]) -> list[int]:
    """Checksums of the blocks up to the first damaged one."""
    block, confirmed = notes["block"], []
    for number, expected in enumerate(notes["sums"]):
        part = rows[number * block : (number + 1) * block]
        if not len(part) or _checksum(part) != expected:
            break
        confirmed.append(expected)
    return confirmed


def _checksum(rows: npt.NDArray[Any]) -> int:
    return zlib.crc32(np.ascontiguousarray(rows).view(np.uint8).reshape(-1).data)


def _notes(path: Path) -> Path:
    return path.with_suffix(".json")


def _read_notes(path: Path) -> dict[str, Any] | None:
    try:
        notes = json.loads(_notes(path).read_text(encoding="utf-8"))
        well_formed = isinstance(notes["block"], int) and notes["block"] > 0 and isinstance(notes["sums"], list)
        return notes if well_formed and {"shape", "dtype"} <= set(notes) else None
    except (OSError, ValueError, KeyError, TypeError):
        return None
