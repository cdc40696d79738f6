"""Downloads a file in parts that survive: an interrupted download goes on where it stopped.

What has arrived lies in `NAME.part`, what the server said of the file in `NAME.part.json`. Bytes are only joined if the
server says that the file is still the same; whether they are the right ones is for the caller's digest to say.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any
from urllib.parse import unquote

from backbones.errors import InputError
from pipelines.atomic import explain_os_error
from pipelines.connection import LostError, RangeError, chunks, connect
from pipelines.home_path import expanded
from pipelines.partial_download import (
    arrived_bytes,
    continues,
    forget,
    part_path,
    said_of,
    store_note,
    stored_note,
)

__all__ = ["Advance", "Patience", "download"]

_PROGRESS = 1 << 16
"""Bytes that make an interrupted attempt worth another one."""

Advance = Callable[[int, int | None], None]
"""Told (bytes there, bytes in all or None)."""


@dataclass(frozen=True, kw_only=True)
class Patience:
    """How long a download puts up with a bad connection.

    Attributes:
        timeout: Seconds without a byte after which a connection counts as lost.
        attempts: Attempts in a row that bring nothing.
        pause: Seconds before the second attempt; doubled for each further one.
        most: Attempts in all.
    """

    timeout: float = 30.0
    attempts: int = 4
    pause: float = 0.5
    most: int = 200


def download(url: str, target: Path, *, limit: int, patience: Patience, advance: Advance) -> Path:
    """Download a file as far as its `.part`; an earlier part of the same file is continued.

    Args:
        url: Of the scheme http, https or file.
        target: What the file will be called; not written.
        limit: Bytes that it may have at most.
        patience: With bad connections.
        advance: Told of the progress.

    Returns:
        The whole `.part`.

    Raises:
        InputError: The URL cannot be had, the file is too large, or it cannot be written. What has arrived stays,
            unless it is too large.
    """
    scheme = url.partition(":")[0].lower()
    if scheme not in ("http", "https", "file"):
        raise InputError(f"Expected a URL of http, https or file, but got {url!r}. For a file: `file:PATH`.")
    if scheme == "file":
        return _copy(url, target, limit, advance)
    failures, reason = 0, ""
    for _ in range(patience.most):
        before = arrived_bytes(target)
        try:
            return _attempt(url, target, limit, patience.timeout, advance)
        except LostError as loss:
            reason = str(loss)
        failures = 1 if arrived_bytes(target) - before >= _PROGRESS else failures + 1
        if failures >= patience.attempts:
            break
        time.sleep(patience.pause * 2 ** (failures - 1))
    raise InputError(f"Expected to download {url}, but got: {reason}. {_kept(url, target)}")


def _attempt(url: str, target: Path, limit: int, timeout: float, advance: Advance) -> Path:
    """One connection.

    Raises:
        LostError: It ended too early.
    """
    note, offset = stored_note(target, url), arrived_bytes(target)
    if note and offset == note["size"]:
        return part_path(target)
    headers = {}
    if note and 0 < offset < note["size"]:
        headers["Range"] = f"bytes={offset}-"
        if note["etag"] and not note["etag"].startswith("W/"):
            headers["If-Range"] = note["etag"]
    try:
        with connect(url, headers, timeout=timeout) as answer:
            return _receive(answer, url, target, limit, note, advance)
    except RangeError:
        forget(target)
        raise


def _receive(answer: Any, url: str, target: Path, limit: int, note: dict[str, Any], advance: Advance) -> Path:
    """Write what the server sends behind what is there, or anew if it is not the rest of it."""
    if answer.headers.get_content_type() == "text/html":
        raise InputError(
            f"Expected {url} to be a file, but the server sent a web page: a sign-in, a warning, or a dead link. "
            f"Download it in a browser, then name the file: `--url file:PATH`."
        )
    said = said_of(answer, url)
    if answer.status != 206:
        forget(target)
        _check_limit(url, said["size"] or 0, limit)
        store_note(target, said)
        note = said
    elif not continues(answer, said, note, arrived_bytes(target)):
        forget(target)
        raise LostError("the file on the server has changed")
    _stream(answer, url, target, limit, note["size"], advance)
    if note["size"] is not None and arrived_bytes(target) < note["size"]:
        raise LostError("the connection was closed before the end")
    return part_path(target)


def _stream(source: IO[bytes], url: str, target: Path, limit: int, size: int | None, advance: Advance) -> None:
    """Append everything that comes."""
    done = arrived_bytes(target)
    advance(done, size)
    try:
        with part_path(target).open("ab") as file:
            for chunk in chunks(source):
                done += len(chunk)
                if done > limit:
                    forget(target)
                _check_limit(url, done, limit)
                file.write(chunk)
                advance(done, size)
    except OSError as error:
        error.filename = error.filename or str(part_path(target))
        raise InputError(explain_os_error(error)) from None


def _copy(url: str, target: Path, limit: int, advance: Advance) -> Path:
    """A file of this machine."""
    source = _local(url)
    forget(target)
    try:
        with source.open("rb") as file:
            size = source.stat().st_size
            _check_limit(url, size, limit)
            _stream(file, url, target, limit, size, advance)
    except InputError:
        raise
    except (OSError, ValueError, LostError) as error:  # a ValueError for a path that none can be
        reason = error.strerror if isinstance(error, OSError) else str(error)
        raise InputError(f"Expected {url} to be a file, but got: {reason}. Check the path.") from None
    return part_path(target)


def _local(url: str) -> Path:
    """The path in `file:PATH`, which is taken as it stands, or in `file:///PATH`, which is a URL with its escapes.

    Raises:
        InputError: It names another machine, or the home folder of nobody.
    """
    rest = url.partition(":")[2]
    if not rest.startswith("//"):
        return expanded(rest)
    host, _, path = rest[2:].partition("/")
    if host.lower() not in ("", "localhost"):
        raise InputError(f"Expected a file of this machine, but {url} names the host `{host}`. "
                         f"For a path: `file:PATH`, e.g. `file:{rest[2:]}`.")  # fmt: skip
    return Path(unquote(f"/{path}"))


def _check_limit(url: str, size: int, limit: int) -> None:
    if size > limit:
        raise InputError(
            f"Expected {url} to have at most {limit:,} bytes, but it has more. It is not the file that is meant; "
            f"name another source: `--url URL`."
        )


def _kept(url: str, target: Path) -> str:
    arrived = arrived_bytes(target)
    if not arrived:
        return (
            f"Nothing has arrived. Check the network, name another source (`--url URL`), or put the file into "
            f"`{target.parent}` by hand."
        )
    if not stored_note(target, url):
        return "The server does not say how long the file is, so the next attempt begins anew."
    return f"{arrived:,} bytes lie in `{part_path(target)}`; the same command goes on from there."
