"""Archives that break, lie or climb out."""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import stat
import struct
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path

from hostile.case import Case, csv_text, describe, image_files, png, png_claiming


def zipped(spoil: dict[str, bytes] | None = None, method: int = zipfile.ZIP_STORED) -> bytes:
    """Class folders in a zip, and some more files."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", method) as archive:
        for name, data in image_files((spoil or {}).items()).items():
            archive.writestr(name, data)
    return buffer.getvalue()


def _zip_of(name: str, data: bytes, **facts: int) -> bytes:
    """A zip of one more file, whose entry has other facts than it should."""
    buffer = io.BytesIO(zipped())
    with zipfile.ZipFile(buffer, "a", zipfile.ZIP_DEFLATED) as archive:
        info = zipfile.ZipInfo(name)
        info.compress_type = zipfile.ZIP_DEFLATED
        for key, value in facts.items():
            setattr(info, key, value)
        archive.writestr(info, data)
    return buffer.getvalue()


def _patched(place: int, value: bytes) -> bytes:
    """A zip with other bytes in its directory's last entry."""
    data = bytearray(_zip_of("sad/x.png", png()))
    start = data.rfind(b"PK\x01\x02") + place
    data[start : start + len(value)] = value
    return bytes(data)


def _crowded(path: Path) -> None:
    """A zip whose directory lists 1.1 million empty files."""
    count = 1_100_000
    entry = b"PK\x01\x02" + b"\0" * 24 + struct.pack("<H", 1) + b"\0" * 16 + b"x"
    end = b"PK\x05\x06" + struct.pack("<HHHHIIH", 0, 0, 0xFFFF, 0xFFFF, count * len(entry), 0, 0)
    path.write_bytes(entry * count + end)


def tarred(change: Callable[[tarfile.TarFile], object], pack: Callable[[bytes], bytes] = bytes) -> bytes:
    """Class folders in a tar, and whatever else is put into it."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        for name, data in image_files().items():
            _add(archive, name, data)
        change(archive)
    return pack(buffer.getvalue())


def _add(archive: tarfile.TarFile, name: str, data: bytes = b"", **facts: object) -> None:
    info = tarfile.TarInfo(name)
    info.size = len(data)
    for key, value in facts.items():
        setattr(info, key, value)
    archive.addfile(info, io.BytesIO(data))


def _member(name: str, **facts: object) -> bytes:
    return tarred(lambda archive: _add(archive, name, **facts))


def _sparse(path: Path) -> None:
    """A tar that takes no room, whose one file is a terabyte of nothing."""
    header = tarfile.TarInfo("sad/x.png")
    header.size = 1 << 40
    with path.open("wb") as file:
        file.write(header.tobuf(tarfile.GNU_FORMAT))
        file.truncate((1 << 20) + 1024)


def _long_header(path: Path) -> None:
    """A gzipped tar with a name of two gigabytes, or what claims to be one."""
    header = tarfile.TarInfo("././@LongLink")
    header.type, header.size = tarfile.GNUTYPE_LONGNAME, 2 << 30
    with gzip.open(path, "wb", compresslevel=1) as file:
        file.write(header.tobuf(tarfile.GNU_FORMAT))
        for _ in range(64):
            file.write(b"x" * (1 << 20))


def _tar_bomb(path: Path) -> None:
    header = tarfile.TarInfo("sad/x.png")
    header.size = 1 << 36
    with gzip.open(path, "wb", compresslevel=1) as file:
        file.write(header.tobuf(tarfile.GNU_FORMAT) + b"\0" * (1 << 20))


def _negative(path: Path) -> None:
    """A tar whose file has a negative size: reading goes back to its own header, for ever."""
    header = bytearray(tarfile.TarInfo("sad/x.png").tobuf(tarfile.GNU_FORMAT))
    header[124:136] = b"\xff" + (-512).to_bytes(11, "big", signed=True)
    header[148:156] = b" " * 8
    header[148:156] = f"{sum(header[:512]):06o}\0 ".encode()
    path.write_bytes(bytes(header) + b"\0" * 1024)


_LINK = stat.S_IFLNK << 16
_SMALL_ZIP = zipped()
_CSV_ZIP = zipped({"fer.csv": csv_text()[:-3000]})

ARCHIVES = (
    Case("zip slip", describe("f.zip", zipped({"../../sad/1.png": png()})), ("f.zip", "points outside")),
    Case("zip absolute", describe("f.zip", zipped({"/etc/sad/1.png": png()})), ("f.zip", "points outside")),
    Case("zip on a drive", describe("f.zip", zipped({"C:\\sad\\1.png": png()})), ("f.zip", "points outside")),
    Case("zip link", describe("f.zip", _zip_of("sad/l.png", b"/etc/passwd", external_attr=_LINK)), ("f.zip", "link")),
    Case("zip encrypted", describe("f.zip", _patched(8, b"\x01\x00")), ("f.zip", "encrypted")),
    Case("zip cut", describe("f.zip", _SMALL_ZIP[: len(_SMALL_ZIP) // 2]), ("f.zip", "readable")),
    Case("zip is text", describe("f.zip", b"no zip at all" * 99), ("f.zip", "readable")),
    Case("zip empty", describe("f.zip", b"PK\x05\x06" + b"\0" * 18), ("f.zip", "no layout")),
    Case("zip of zero bytes", describe("f.zip", b""), ("f.zip", "empty")),
    Case("zip without images", describe("f.zip", b"PK\x05\x06" + b"\0" * 18), ("f.zip", "no layout")),
    Case("zip wrong checksum", describe("f.zip", _patched(16, b"\0\1\2\3")), ("f.zip", "CRC")),
    Case("zip unknown compression", describe("f.zip", _patched(10, b"\x63\x00")), ("f.zip", "readable")),
    Case("zip bomb", describe("f.zip", _zip_of("sad/x.bmp", b"\0" * (130 << 20))), ("f.zip", "decompression bomb")),
    Case("zip claims gigabytes", describe("f.zip", _patched(24, b"\xf0\xff\xff\xff")), ("f.zip", "decompression bomb")),
    Case("zip claims less than it has", describe("f.zip", _patched(24, b"\x05\0\0\0")), ("f.zip", "x.png")),
    Case("zip of a million files", describe("f.zip", _crowded), ("f.zip", "1,000,000 files")),
    Case("zip with a damaged directory", describe("f.zip", _patched(0, b"XX")), ("f.zip", "readable")),
    Case("zip with text as image", describe("f.zip", zipped({"sad/x.png": b"hello"})), ("sad/x.png", "image format")),
    Case("zip with a pixel bomb", describe("f.zip", zipped({"sad/x.png": png_claiming(60_000, 60_000)})),
         ("sad/x.png", "60,000")),
    Case("zip with a cut csv", describe("f.zip", _CSV_ZIP), ("fer.csv",)),
    Case("tar slip", describe("f.tar", _member("../sad/1.png")), ("f.tar", "points outside")),
    Case("tar absolute", describe("f.tar", _member("/tmp/sad/1.png")), ("f.tar", "points outside")),
    Case("tar link", describe("f.tar", _member("sad/l.png", type=tarfile.SYMTYPE, linkname="/etc/passwd")),
         ("f.tar", "link")),
    Case("tar hard link", describe("f.tar", _member("sad/l.png", type=tarfile.LNKTYPE, linkname="../x")),
         ("f.tar", "link")),
    Case("tar device", describe("f.tar", _member("sad/d.png", type=tarfile.CHRTYPE)), ("f.tar", "device")),
    Case("tar pipe", describe("f.tar", _member("sad/p.png", type=tarfile.FIFOTYPE)), ("f.tar", "pipe")),
    Case("tar file of a terabyte", describe("f.tar", _sparse), ("f.tar", "decompression bomb")),
    Case("tar name of gigabytes", describe("f.tar.gz", _long_header), ("f.tar.gz", "header")),
    Case("tar bomb", describe("f.tgz", _tar_bomb), ("f.tgz", "decompression bomb")),
    Case("tar negative size", describe("f.tar", _negative), ("f.tar", "-512")),
    Case("tar gz cut", describe("f.tgz", tarred(lambda t: None, gzip.compress)[:-300]), ("f.tgz", "readable")),
    Case("tar xz damaged", describe("f.txz", tarred(lambda t: None, lzma.compress)[:-300]), ("f.txz", "readable")),
    Case("tar bz2 damaged", describe("f.tbz2", tarred(lambda t: None, bz2.compress)[:-300]), ("f.tbz2", "readable")),
    Case("tar is text", describe("f.tar", b"no tar at all" * 99), ("f.tar", "readable")),
    Case("tar with text as image", describe("f.tar", tarred(lambda t: _add(t, "sad/x.png", b"hi"))),
         ("sad/x.png", "image format")),
)  # fmt: skip
