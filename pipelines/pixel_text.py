"""Pixels written as decimal text become uint8 arrays, fast.

FER2013's csv spells out 74 million numbers. Parsing them one by one takes minutes; here the last three bytes before
every space are gathered and combined by whole-array arithmetic, some 15 ns a number.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from backbones.errors import InputError

__all__ = ["parse_pixels"]

_SPACE = 32
_PADDING = b"0 "
_LONGEST = 100
"""Bytes of a number, zeros in front included; Python refuses to read very long ones."""


def parse_pixels(fields: Sequence[bytes], *, size: int, places: Sequence[str]) -> npt.NDArray[np.uint8]:
    """Parse the pixel fields of several faces.

    Args:
        fields: One text per face: `size` * `size` numbers in 0..255, separated by spaces.
        size: Side of the faces in pixels.
        places: Where each field stands, for messages.

    Returns:
        (faces, size, size) uint8.

    Raises:
        InputError: A field has another count of numbers, a number outside 0..255, or something else in it.

    Example:
        >>> parse_pixels([b"0 7 70 255"], size=2, places=["row 0"]).tolist()
        [[[0, 7], [70, 255]]]
    """
    values = _parse_fast(fields, size * size)
    if values is None:
        values = np.stack([_parse_field(f, size, place) for f, place in zip(fields, places, strict=True)])
    return values.reshape(len(fields), size, size)


def _parse_fast(fields: Sequence[bytes], pixels: int) -> npt.NDArray[np.uint8] | None:
    """All fields at once, or None unless every one is `pixels` numbers of at most three digits and single spaces."""
    text = np.frombuffer(_PADDING + b" ".join(fields) + b" ", dtype=np.uint8)
    ends = np.flatnonzero(text == _SPACE)  # one before the first number, then one after each
    borders = np.cumsum([len(_PADDING) - 1, *(len(field) + 1 for field in fields)])
    if len(ends) != len(fields) * pixels + 1 or not np.array_equal(ends[::pixels], borders):
        return None
    widths = ends[1:] - ends[:-1]  # of the numbers with their spaces
    digits = text - np.uint8(48)  # a space wraps round to 240
    starts = ends[1:] - 3
    hundreds, tens, ones = (digits[place:].take(starts) for place in range(3))
    tens *= widths > 2  # what stands before a shorter number belongs to its neighbour
    hundreds *= widths > 3
    if widths.max() > 4 or max(ones.max(), tens.max(), hundreds.max()) > 9:
        return None
    value = np.multiply(hundreds, np.uint16(100), dtype=np.uint16)
    value += tens * np.uint8(10)
    value += ones
    return value.astype(np.uint8) if value.max() <= 255 else None


def _parse_field(field: bytes, size: int, place: str) -> npt.NDArray[np.uint8]:
    """One field by plain means: tolerates odd white space, and says what is wrong."""
    words = field.split()
    if len(words) != size * size:
        raise InputError(
            f"Expected {size * size} pixels ({size} by {size}) in {place}, but got {len(words)}. "
            "Is the file whole? Faces of another size need `data: {size: ...}`."
        )
    return np.array([_parse_word(word, place) for word in words], dtype=np.uint8)


def _parse_word(word: bytes, place: str) -> int:
    if not word.isdigit() or len(word) > _LONGEST or int(word) > 255:
        shown = word[:_LONGEST].decode(errors="replace")
        raise InputError(f"Expected pixels in 0..255 in {place}, but got {shown!r}.")
    return int(word)
