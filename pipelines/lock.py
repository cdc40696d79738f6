"""One process at a time per folder."""

from __future__ import annotations

import fcntl
import json
import os
import platform
import shlex
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import datetime
from pathlib import Path

from backbones.errors import InputError

__all__ = ["LOCK", "locked"]

LOCK = ".lock"
"""Name of the file that is locked, and tells who holds it."""

_LONGEST = 1000
"""Characters of a command that are written down."""


@contextmanager
def locked(folder: Path, *, wait: bool = False) -> Iterator[None]:
    """Hold the folder's lock; the system releases it however the process ends.

    Args:
        folder: Made if it is not there.
        wait: Whether to wait for another process that holds it, rather than refuse.

    Raises:
        InputError: Another process holds it, or the folder cannot be written to.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(folder / LOCK, os.O_RDWR | os.O_CREAT, 0o644)
    except OSError as error:
        raise InputError(f"Expected `{folder}` to be a folder to write to, but got: {error}.") from None
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
    except OSError as error:
        owner = _owner(descriptor)
        os.close(descriptor)
        if not isinstance(error, BlockingIOError):
            raise InputError(
                f"Expected `{folder}` to be a folder that can be locked, but got: {error}. "
                f"Choose one on a local disk with `--out`."
            ) from None
        raise InputError(
            f"Expected `{folder}` to be free, but {owner} is fitting into it. "
            f"Wait for it, stop it, or choose another folder with `--out`."
        ) from None
    try:
        _sign(descriptor)
        yield
    finally:
        os.close(descriptor)


def _sign(descriptor: int) -> None:
    """Write down who holds the lock; a full disk does not keep it from being held."""
    since = datetime.now().astimezone().strftime("%Y-%m-%d %H:%M:%S")
    command = shlex.join([Path(sys.argv[0]).name, *sys.argv[1:]])[:_LONGEST]
    owner = {"process": os.getpid(), "host": platform.node(), "since": since, "command": command}
    with suppress(OSError):
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, f"{json.dumps(owner, ensure_ascii=False)}\n".encode(), 0)


def _owner(descriptor: int) -> str:
    """Who holds the lock, in words."""
    text = os.pread(descriptor, 4 * _LONGEST, 0).decode(errors="replace")
    try:
        owner = json.loads(text)
        return f"process {owner['process']} on {owner['host']} (`{owner['command']}`, since {owner['since']})"
    except (ValueError, KeyError, TypeError):
        return "another process"
