"""Finds and opens a csv: plain, gzipped, or inside a zip, a tar or a folder, as a stream of its lines."""

from __future__ import annotations

import gzip
import io
import zlib
from collections.abc import Iterator
from collections.abc import Set as AbstractSet
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

from backbones.errors import InputError
from backbones.limits import LINE_BYTES, check_unpacked
from pipelines.file_tree import file_names, is_archive, open_file

__all__ = ["BOM", "find_csv", "open_csv", "split_line", "table_lines"]

BOM = b"\xef\xbb\xbf"
"""Before the text in files of some tools."""

_BUFFER = 1 << 20
"""Bytes; a line of FER2013 alone fills the default buffer."""

_TABLES = 100
"""Tables of a tree that are looked into."""

_EMPTY_LINES = 1000
"""In a row; more is no table."""


def split_line(line: bytes) -> list[bytes]:
    r"""Fields of a csv line without quotes and outer spaces; quoted commas are not expected.

    Example:
        >>> split_line(b'3,"70 80", Training\r\n')
        [b'3', b'70 80', b'Training']
    """
    return [field.strip(b'" \t\r\n') for field in line.split(b",")]


def find_csv(source: Path, columns: AbstractSet[str]) -> str | None:
    """Name of the first csv in `source` whose header has the columns, in any case; "" if it is `source` itself.

    Args:
        source: A csv, csv.gz, zip, tar or folder. In a folder, only itself and its direct subfolders are searched.
        columns: Names in lower case.
    """
    if source.is_dir():
        files = [*source.glob("*.csv"), *source.glob("*/*.csv")]
        names = sorted(file.relative_to(source).as_posix() for file in files if _is_own(file, source))
    elif is_archive(source):
        names = [name for name in file_names(source) if name.lower().endswith(".csv")]
    else:
        names = [""] if source.name.lower().endswith((".csv", ".csv.gz")) else []
    return next((name for name in names[:_TABLES] if columns <= _header(source, name)), None)


def table_lines(file: IO[bytes], place: str) -> Iterator[bytes]:
    """Yield the lines of a table that are not empty.

    Args:
        file: The table.
        place: How to name it in messages.

    Raises:
        InputError: A line is too long, or too many are empty.
    """
    empty = 0
    for line in iter(lambda: file.readline(LINE_BYTES), b""):
        if len(line) == LINE_BYTES:
            raise InputError(f"Expected lines of at most {LINE_BYTES:,} bytes in {place}, but got a longer one.")
        empty = 0 if line.strip() else empty + 1
        if empty > _EMPTY_LINES:
            raise InputError(f"Expected a table in {place}, but got more than {_EMPTY_LINES:,} empty lines in a row.")
        if not empty:
            yield line


@contextmanager
def open_csv(source: Path, name: str) -> Iterator[IO[bytes]]:
    """Open what `find_csv` found for reading lines.

    Raises:
        InputError: The compressed file is damaged.
    """
    if name:
        with open_file(source, name) as inner:
            yield inner
    elif source.name.lower().endswith(".gz"):
        try:
            with gzip.open(source, "rb") as unzipped:
                yield io.BufferedReader(_Bounded(unzipped, source), _BUFFER)
        except (OSError, EOFError, zlib.error) as error:
            raise InputError(f"Expected {source} to be a whole gzip file, but got: {error}.") from error
    else:
        with source.open("rb", buffering=_BUFFER) as plain:
            yield plain


class _Bounded(io.RawIOBase):
    """What comes out of a compressed file, until it is more than honest data would be."""

    def __init__(self, stream: gzip.GzipFile, path: Path) -> None:
        super().__init__()
        self._stream, self._path, self._done = stream, path, 0

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        data = self._stream.read(len(buffer))
        buffer[: len(data)] = data
        self._done += len(data)
        check_unpacked(self._path, self._done)
        return len(data)


def _is_own(file: Path, folder: Path) -> bool:
    """Whether it is a plain file of the folder, and no link out of it."""
    return file.is_file() and file.resolve().is_relative_to(folder.resolve())


def _header(source: Path, name: str) -> AbstractSet[str]:
    with open_csv(source, name) as file:
        line = file.readline(4096)
    return {field.decode(errors="replace").lower() for field in split_line(line.removeprefix(BOM))}
