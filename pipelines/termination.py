"""Ends long work on SIGTERM the way Ctrl-C does: runs are marked, locks are released, exit code 130.

A library may swallow the exception that an interruption is, and raise another in its place, which then counts as one.
"""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

__all__ = ["terminable", "uninterrupted"]

_SIGNALS = (signal.SIGTERM, signal.SIGINT)


@contextmanager
def terminable() -> Iterator[None]:
    """Turn SIGTERM into KeyboardInterrupt, as SIGINT is, in the main thread; elsewhere nothing changes.

    Raises:
        KeyboardInterrupt: The process was interrupted, whatever was raised in its place.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    interrupted = threading.Event()

    def interrupt(_number: int, _frame: Any) -> None:
        interrupted.set()
        raise KeyboardInterrupt

    previous = [signal.signal(number, interrupt) for number in _SIGNALS]
    try:
        yield
    except Exception as error:
        if interrupted.is_set():
            raise KeyboardInterrupt from error
        raise
    finally:
        for number, handler in zip(_SIGNALS, previous, strict=True):
            signal.signal(number, handler)


@contextmanager
def uninterrupted() -> Iterator[None]:
    """Put SIGTERM and SIGINT off to the end of a few writes that belong together, in the main thread."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    waiting: list[int] = []
    previous = [signal.signal(number, lambda sent, _frame: waiting.append(sent)) for number in _SIGNALS]
    try:
        yield
    finally:
        for number, handler in zip(_SIGNALS, previous, strict=True):
            signal.signal(number, handler)
        if waiting:
            signal.raise_signal(waiting[0])
