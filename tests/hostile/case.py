"""One bad input, and the good faces that most of them spoil."""

from __future__ import annotations

import io
import zlib
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

EMOTIONS = ("angry", "disgust", "fear", "happy", "sad", "surprise", "neutral")
USAGES = ("Training",) * 14 + ("PublicTest",) * 7
PIXELS = " ".join(["7", "200"] * 1152)


@dataclass(frozen=True)
class Case:
    """A bad input.

    Attributes:
        name: Says what is wrong; unique.
        make: Makes it in an empty folder and gives the arguments of the command, the paths in them relative.
        words: What the message has to contain: the file's name, and why it is refused.
    """

    name: str
    make: Callable[[Path], Sequence[str]]
    words: tuple[str, ...]


def describe(name: str, content: bytes | Callable[[Path], object]) -> Callable[[Path], Sequence[str]]:
    """A data source of that name, looked at by `data describe`."""

    def make(folder: Path) -> Sequence[str]:
        put(folder / name, content)
        return ("data", "describe", name)

    return make


def put(path: Path, content: bytes | Callable[[Path], object]) -> None:
    """Write a file, or let it be made."""
    path.parent.mkdir(parents=True, exist_ok=True)
    _ = path.write_bytes(content) if isinstance(content, bytes) else content(path)


def csv_text(change: Callable[[list[list[str]]], object] = lambda rows: None) -> bytes:
    """A FER csv of 21 faces, some row of it spoilt."""
    rows = [[str(i % 7), PIXELS, usage] for i, usage in enumerate(USAGES)]
    change(rows)
    return "\n".join(["emotion,pixels,Usage", *(",".join(row) for row in rows), ""]).encode()


def png(seed: int = 0, size: int = 12) -> bytes:
    """A small grey image, another one for every seed."""
    pixels = np.random.default_rng(seed).integers(0, 256, (size, size), dtype=np.uint8)
    return saved(Image.fromarray(pixels), "PNG")


def saved(image: Image.Image, fmt: str, **options: object) -> bytes:
    """An image file's bytes."""
    buffer = io.BytesIO()
    image.save(buffer, fmt, **options)
    return buffer.getvalue()


def png_claiming(width: int, height: int) -> bytes:
    """A tiny PNG whose header claims so many pixels."""
    header = b"IHDR" + width.to_bytes(4, "big") + height.to_bytes(4, "big") + b"\x08\x00\x00\x00\x00"
    chunks = (header, b"IDAT" + zlib.compress(b"\0" * 100_000), b"IEND")
    framed = (len(c[4:]).to_bytes(4, "big") + c + zlib.crc32(c).to_bytes(4, "big") for c in chunks)
    return b"\x89PNG\r\n\x1a\n" + b"".join(framed)


def image_files(spoil: Iterable[tuple[str, bytes]] = ()) -> dict[str, bytes]:
    """Class folders of 42 images, and some more files."""
    files = {f"{name}/{i}.png": png(7 * i + k) for i in range(6) for k, name in enumerate(EMOTIONS)}
    return {**files, **dict(spoil)}
