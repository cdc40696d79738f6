"""Ends long work on SIGTERM the way Ctrl-C does: runs are marked, locks are released, exit code 130.

A library may swallow the exception that an interruption is, and raise another in its place. So it is written down too.
"""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

__all__ = ["INTERRUPTED", "terminable", "was_interrupted"]

INTERRUPTED = "interrupted; finished work is kept, the same command resumes fit and tune."

_SIGNALS = (signal.SIGTERM, signal.SIGINT)
_interrupted = threading.Event()


def was_interrupted() -> bool:
    """Whether this process was asked to end within `terminable`."""
    return _interrupted.is_set()


@contextmanager
def terminable() -> Iterator[None]:
    """Turn SIGTERM into KeyboardInterrupt, as SIGINT is, in the main thread; elsewhere nothing changes."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def interrupt(_number: int, _frame: Any) -> None:
        _interrupted.set()
        raise KeyboardInterrupt

    _interrupted.clear()
    previous = [signal.signal(number, interrupt) for number in _SIGNALS]
    try:
        yield
    finally:
        for number, handler in zip(_SIGNALS, previous, strict=True):
            signal.signal(number, handler)
