"""How much a file may ask for before it is refused: the one place for such numbers.

They are far above what honest data needs (AffectNet has 450,000 photos, a photo of 2025 has 50 megapixels), and low
enough that a file of a few kilobytes cannot fill memory or disk. Imports nothing heavy, because every reader needs it.
"""

from __future__ import annotations

import zipfile
from collections.abc import Iterable
from pathlib import Path

from backbones.errors import InputError

__all__ = [
    "ARRAYS_BYTES",
    "DEEPEST_YAML",
    "IMAGE_FILE_BYTES",
    "IMAGE_PIXELS",
    "JSON_BYTES",
    "LINE_BYTES",
    "MEMBERS",
    "NETWORK_BYTES",
    "PARQUET_BYTES",
    "ROWS",
    "TABLE_BYTES",
    "TABLE_CELLS",
    "TABLE_LINE",
    "UNPACKED_BYTES",
    "UNPACKED_RATIO",
    "WEIGHTS_BYTES",
    "YAML_BYTES",
    "YAML_NODES",
    "YAML_SCALAR",
    "check_size",
    "check_unpacked",
    "check_zip",
]

_MIB = 1 << 20

IMAGE_PIXELS = 100_000_000
"""Pixels of one image; decoding takes up to nine bytes for each."""

IMAGE_FILE_BYTES = 256 * _MIB
"""Size of one image file, on disk or unpacked."""

MEMBERS = 1_000_000
"""Files in an archive or a folder."""

UNPACKED_BYTES = 100 * _MIB
"""What may come out of a compressed file whatever its size."""

UNPACKED_RATIO = 200
"""How often larger than the file that may be beyond it; tables of pixels reach 5, blank images 100."""

LINE_BYTES = 16 * _MIB
"""One line of a table; a face of 1024 by 1024 pixels takes 4 MiB."""

ROWS = 10_000_000
"""Rows of a table of faces."""

TABLE_BYTES = 128 * _MIB
"""A table that is read whole: votes, groups, posteriors."""

TABLE_LINE = _MIB
"""Characters of one line of such a table."""

TABLE_CELLS = 50_000_000
"""Cells of a table of posteriors."""

ARRAYS_BYTES = 1024 * _MIB
"""Probabilities of a member: ten views of 450,000 faces and eight classes take 288 MiB."""

PARQUET_BYTES = 1024 * _MIB
"""What the columns of a parquet file take in memory."""

JSON_BYTES = 64 * _MIB
"""A JSON file of a committee."""

YAML_BYTES = _MIB
"""A YAML file."""

YAML_NODES = 20_000
"""Values, lists and mappings in a YAML file; a committee of five hundred members has half as many."""

DEEPEST_YAML = 50
"""Lists and mappings within one another."""

YAML_SCALAR = 4096
"""Characters of one value: the longest path."""

NETWORK_BYTES = 512 * _MIB
"""What a stored network may take beyond the size of its weights: layers that are built and dropped, as VGG16's."""

WEIGHTS_BYTES = 8 << 30
"""A file of pretrained weights."""


def check_size(path: Path, most: int, what: str) -> None:
    """Refuse a file that is no plain file, or larger than it may be.

    Args:
        path: The file.
        most: Bytes that it may have.
        what: What it should be, with its article.

    Raises:
        InputError: It is a folder, a pipe or a device, or too large.
    """
    if not path.is_file():
        found = "a folder" if path.is_dir() else "a pipe or a device" if path.exists() else "absent"
        raise InputError(f"Expected `{path}` to be {what}, but it is {found}.")
    size = path.stat().st_size
    if size > most:
        raise InputError(f"Expected `{path}` to be {what} of at most {most:,} bytes, but got {size:,}.")


def check_unpacked(path: Path, unpacked: int) -> None:
    """Refuse what unpacks to more than honest data does: a decompression bomb.

    Args:
        path: The compressed file.
        unpacked: Bytes that come out of it, or that have come out so far.

    Raises:
        InputError: It is more than `UNPACKED_BYTES`, and more than `UNPACKED_RATIO` times the file's size.

    Example:
        >>> check_unpacked(Path(__file__), 1 << 20)
    """
    if unpacked > UNPACKED_BYTES and unpacked > UNPACKED_RATIO * path.stat().st_size:
        raise InputError(
            f"Expected {path} to unpack to at most {UNPACKED_RATIO} times its {path.stat().st_size:,} bytes, but it "
            f"comes to {unpacked:,}: a decompression bomb. Nothing of it is read."
        )


def check_zip(path: Path, infos: Iterable[zipfile.ZipInfo]) -> None:
    """Refuse a zip by the sizes that its directory claims; no reading goes beyond them.

    Raises:
        InputError: It is a decompression bomb.
    """
    check_unpacked(path, sum(info.file_size for info in infos))
