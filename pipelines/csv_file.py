"""Finds and opens a csv: plain, gzipped, or inside a zip, a tar or a folder, as a stream of its lines."""

from __future__ import annotations

import gzip
import io
import zlib
from collections.abc import Iterator
from collections.abc import Set as AbstractSet
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from backbones.errors import InputError
from pipelines.file_tree import file_names, is_archive, open_file

__all__ = ["find_csv", "open_csv", "split_line"]

_BOM = b"\xef\xbb\xbf"
_BUFFER = 1 << 20
"""Bytes; a line of FER2013 alone fills the default buffer."""


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
        names = sorted(file.relative_to(source).as_posix() for file in files)
    elif is_archive(source):
        names = [name for name in file_names(source) if name.lower().endswith(".csv")]
    else:
        names = [""] if source.name.lower().endswith((".csv", ".csv.gz")) else []
    return next((name for name in names if columns <= _header(source, name)), None)


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
                yield io.BufferedReader(unzipped, _BUFFER)
        except (OSError, EOFError, zlib.error) as error:
            raise InputError(f"Expected {source} to be a whole gzip file, but got: {error}.") from error
    else:
        with source.open("rb", buffering=_BUFFER) as plain:
            yield plain


def _header(source: Path, name: str) -> AbstractSet[str]:
    with open_csv(source, name) as file:
        line = file.readline(4096)
    return {field.decode(errors="replace").lower() for field in split_line(line.removeprefix(_BOM))}
