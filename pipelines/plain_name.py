"""Names as every file and terminal can hold them."""

from __future__ import annotations

__all__ = ["plain_name", "plain_text"]


def plain_name(name: str) -> str:
    r"""A file's name; bytes in it that are no UTF-8 are spelt out.

    Example:
        >>> plain_name("sad/\udcff.png")
        'sad/\\xff.png'
    """
    if name.isascii():
        return name
    return name.encode(errors="surrogateescape").decode(errors="backslashreplace")


def plain_text(text: str) -> str:
    r"""A message; what would move the cursor or colour the terminal is spelt out.

    Example:
        >>> plain_text("no \x1b[31mface")
        'no \\x1b[31mface'
    """
    return "".join(c if c.isprintable() or c in "\n\t" else repr(c)[1:-1] for c in text)
