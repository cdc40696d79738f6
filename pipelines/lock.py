"""One process at a time per folder."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from backbones.errors import InputError

__all__ = ["locked"]


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
        descriptor = os.open(folder / ".lock", os.O_RDWR | os.O_CREAT, 0o644)
    except OSError as error:
        raise InputError(f"Expected `{folder}` to be a folder to write to, but got: {error}.") from None
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
    except OSError:
        owner = os.read(descriptor, 100).decode(errors="replace").strip() or "unknown"
        os.close(descriptor)
        raise InputError(
            f"Expected `{folder}` to be free, but process {owner} is fitting into it. "
            f"Wait for it, stop it, or choose another folder with `--out`."
        ) from None
    try:
        os.ftruncate(descriptor, 0)
        os.write(descriptor, f"{os.getpid()}\n".encode())
        yield
    finally:
        os.close(descriptor)
