"""What an image file is and how large, from its first bytes: asked before anything of it is decoded.

PNG and JPEG, which data sets consist of, are looked into here within microseconds; Pillow knows the rest.
"""

from __future__ import annotations

import io
import warnings

from PIL import Image

from backbones.errors import InputError
from backbones.limits import IMAGE_PIXELS

__all__ = ["FORMATS", "check_header", "damaged", "header_size"]

FORMATS = ("PNG", "JPEG", "BMP", "DIB", "WEBP", "TIFF", "GIF", "PPM")
"""What counts as an image. Pillow goes by the content, and knows formats that start other programs."""

_PNG = b"\x89PNG\r\n\x1a\n"
_FRAME_HEADERS = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}


def header_size(data: bytes, *, name: str) -> tuple[int, int]:
    """Width and height of an image, as its header says.

    Args:
        data: The file's content, or as much of it as has the header.
        name: Its name, for messages.

    Raises:
        InputError: It has no header of an image.
    """
    size = _png_size(data) or _jpeg_size(data)
    if size is not None:
        return size
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)  # pixels are counted by whoever asks
            with Image.open(io.BytesIO(data), formats=FORMATS) as image:
                return image.size
    except Exception as error:  # a flipped byte makes Pillow raise about anything
        raise damaged(name, error) from error


def check_header(data: bytes, *, name: str) -> None:
    """Refuse what is no image, or an image of more pixels than any honest one.

    Raises:
        InputError: That is so.
    """
    width, height = header_size(data, name=name)
    if width * height > IMAGE_PIXELS:
        raise InputError(
            f"Expected {name} to have at most {IMAGE_PIXELS:,} pixels, but it claims {width:,} by {height:,}. "
            "Remove it, or make it smaller."
        )


def damaged(name: str, error: object) -> InputError:
    """What to say of an image that cannot be read."""
    reason = "it is of no known image format" if str(error).startswith("cannot identify") else str(error)
    reason = "it is empty" if not reason else reason.splitlines()[0]
    return InputError(f"Expected {name} to be a readable image, but got: {reason}. Remove or replace it.")


def _png_size(data: bytes) -> tuple[int, int] | None:
    if not data.startswith(_PNG) or data[12:16] != b"IHDR" or len(data) < 24:
        return None
    return int.from_bytes(data[16:20], "big"), int.from_bytes(data[20:24], "big")


def _jpeg_size(data: bytes) -> tuple[int, int] | None:
    """Of the first frame header before the pixels; None if there is none in plain sight."""
    if not data.startswith(b"\xff\xd8\xff"):
        return None
    place = 2
    while place + 9 <= len(data) and data[place] == 0xFF:
        marker = data[place + 1]
        if marker in _FRAME_HEADERS:
            return int.from_bytes(data[place + 7 : place + 9], "big"), int.from_bytes(
                data[place + 5 : place + 7], "big"
            )
        if marker == 0xDA:
            return None
        place += 1 if marker == 0xFF else 2 + int.from_bytes(data[place + 2 : place + 4], "big")
    return None
