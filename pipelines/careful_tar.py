"""Tars opened within limits: what a header claims is believed up to a bound only."""

from __future__ import annotations

import bz2
import gzip
import lzma
import tarfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any, cast

__all__ = ["open_tar"]

_UNPACKERS: dict[bytes, Callable[[Path], Any]] = {b"\x1f\x8b": gzip.open, b"BZh": bz2.open, b"\xfd7zXZ": lzma.open}


class _Careful:
    """A stream that refuses to read much at once: tarfile takes the length of a header from the file itself."""

    def __init__(self, stream: Any, most: int) -> None:
        self.stream, self.most = stream, most

    def read(self, size: int = -1) -> bytes:
        if not 0 <= size <= self.most:
            raise tarfile.ReadError(f"a header claims {size:,} bytes")
        return bytes(self.stream.read(size))

    def seek(self, place: int, whence: int = 0) -> int:
        return int(self.stream.seek(place, whence))

    def tell(self) -> int:
        return int(self.stream.tell())


@contextmanager
def open_tar(archive: Path, *, most: int) -> Iterator[tarfile.TarFile]:
    """Open a tar, compressed or not, for reading from front to end or by name.

    Args:
        archive: The file; its first bytes tell how it is compressed.
        most: Bytes that may be read at once.
    """
    with archive.open("rb") as file:
        magic = file.read(8)
    unpack = next((own for start, own in _UNPACKERS.items() if magic.startswith(start)), None)
    stream = archive.open("rb") if unpack is None else unpack(archive)
    with stream, tarfile.TarFile(fileobj=cast("IO[bytes]", _Careful(stream, most))) as tar:
        yield tar
