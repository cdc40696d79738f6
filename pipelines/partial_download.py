"""What lies beside an unfinished download: the bytes that have arrived, and what the server said of the file."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

from backbones.errors import InputError
from pipelines.atomic import explain_os_error, write_json

__all__ = ["arrived_bytes", "continues", "forget", "part_path", "said_of", "store_note", "stored_note"]

_RANGE = re.compile(r"bytes (\d{1,18})-\d+/(\d+|\*)")
_DIGITS = 18
"""Digits of a size that may be meant; a longer number is no file's, and Python refuses to read very long ones."""


def part_path(target: Path) -> Path:
    """Where the part of a file that has arrived lies."""
    return target.with_name(f"{target.name}.part")


def forget(target: Path) -> None:
    """Remove what has arrived of a file."""
    for path in (part_path(target), _note_path(target)):
        path.unlink(missing_ok=True)


def said_of(answer: Any, url: str) -> dict[str, Any]:
    """What the server says of the file: enough to know it again."""
    length = answer.headers.get("Content-Length", "")
    return {
        "url": url,
        "etag": answer.headers.get("ETag"),
        "modified": answer.headers.get("Last-Modified"),
        "size": int(length[: _DIGITS + 1]) if length.isdecimal() else None,
    }


def continues(answer: Any, said: dict[str, Any], note: dict[str, Any], offset: int) -> bool:
    """Whether a partial answer is the rest of the file that the part is of."""
    match = _RANGE.fullmatch(answer.headers.get("Content-Range", "").strip())
    if not note or match is None or int(match[1]) != offset or match[2] != str(note["size"]):
        return False
    return all(said[key] is None or said[key] == note[key] for key in ("etag", "modified"))


def stored_note(target: Path, url: str) -> dict[str, Any]:
    """What the server said when the part was begun; empty if the part cannot be continued."""
    try:
        note = json.loads(_note_path(target).read_text(encoding="utf-8"))
        known = note["url"] == url and isinstance(note["size"], int) and {"etag", "modified"} <= set(note)
        return dict(note) if known else {}
    except (OSError, ValueError, KeyError, TypeError):
        return {}


def store_note(target: Path, said: dict[str, Any]) -> None:
    """Keep what the server said, for the next attempt.

    Raises:
        InputError: It cannot be written.
    """
    try:
        write_json(_note_path(target), said)
    except OSError as error:
        raise InputError(explain_os_error(error)) from None


def arrived_bytes(target: Path) -> int:
    """Bytes of the file that have arrived."""
    part = part_path(target)
    return part.stat().st_size if part.exists() else 0


def _note_path(target: Path) -> Path:
    return target.with_name(f"{target.name}.part.json")
