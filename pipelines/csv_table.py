"""Small tables read whole, with quotes and any encoding mistake told: votes, groups, posteriors of other tools."""

from __future__ import annotations

import csv
import io
from collections import Counter
from collections.abc import Iterable, Iterator
from typing import IO

from backbones.errors import InputError
from backbones.limits import TABLE_BYTES, TABLE_LINE

__all__ = ["read_csv"]


def read_csv(file: IO[bytes], place: str) -> list[list[str]]:
    """The rows of a csv in UTF-8, its header first, without empty rows and spaces around the header's names.

    Args:
        file: The open file.
        place: How to name it in messages.

    Raises:
        InputError: It is empty or too large, no text in UTF-8, names a column twice, or has a row of another length.
    """
    data = file.read(TABLE_BYTES + 1)
    if len(data) > TABLE_BYTES:
        raise InputError(f"Expected a table of at most {TABLE_BYTES:,} bytes in {place}, but got more.")
    lines = io.TextIOWrapper(io.BytesIO(data), encoding="utf-8-sig", newline="")
    try:
        rows = [row for row in csv.reader(_bounded(lines, place)) if row]
    except (UnicodeDecodeError, csv.Error) as error:
        raise InputError(f"Expected a csv in UTF-8 in {place}, but got: {error}.") from None
    if not rows:
        raise InputError(f"Expected a csv with a header in {place}, but it is empty.")
    header = [name.strip() for name in rows[0]]
    if len(set(header)) < len(header):
        twice = Counter(header).most_common(1)[0][0]
        raise InputError(f"Expected every column once in {place}, but the column {twice!r} stands twice.")
    odd = next((number for number, row in enumerate(rows[1:]) if len(row) != len(header)), None)
    if odd is not None:
        raise InputError(
            f"Expected {len(header)} fields in {place}, data row {odd}, but got {len(rows[odd + 1])}. "
            "Is the file whole?"
        )
    return [header, *rows[1:]]


def _bounded(lines: Iterable[str], place: str) -> Iterator[str]:
    for line in lines:
        if len(line) > TABLE_LINE:
            raise InputError(f"Expected lines of at most {TABLE_LINE:,} characters in {place}, but got a longer one.")
        yield line
