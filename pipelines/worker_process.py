"""Processes of their own for members: how they start, and that none outlives the one that started it.

On Linux a server loads the libraries once and every worker is a fork of it: workers start at once, and share the memory
that the libraries take. Elsewhere, where forking is unknown or unsafe beside the system's libraries, each is started
anew. The process that starts them needs no torch.
"""

from __future__ import annotations

import multiprocessing
import os
import platform
import signal
import threading
import traceback
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, ParamSpec, TypeVar, cast

from backbones.errors import InputError
from pipelines.environment import prepare_environment

if TYPE_CHECKING:  # not all of them are there on every system
    from multiprocessing.connection import Connection
    from multiprocessing.context import ForkServerContext, SpawnContext

__all__ = ["end_with_parent", "run_aside", "worker_context"]

P = ParamSpec("P")
R = TypeVar("R")

_FORKS = platform.system() == "Linux"

_LOADED_ONCE = ["pipelines.member_fit", "pipelines.views", "timm"]
"""What every worker needs; none of it starts a thread or touches an accelerator when it is imported."""


def worker_context() -> ForkServerContext | SpawnContext:
    """How workers are started here."""
    prepare_environment()  # the server reads the environment when it starts
    if not _FORKS:
        return multiprocessing.get_context("spawn")
    from multiprocessing import forkserver  # not there on every system

    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(_LOADED_ONCE)
    try:
        forkserver.ensure_running()
    except OSError:  # the folder for temporary files is full, read-only, or its name too long for a socket's
        return multiprocessing.get_context("spawn")
    return context


def run_aside(function: Callable[P, R], *arguments: P.args, **named: P.kwargs) -> R:
    """Call a function in a process of its own: what it loads does not stay in this one's memory.

    Args:
        function: Of a module, so that another process finds it.
        arguments: Plain values.
        named: Likewise.

    Returns:
        What it returns.

    Raises:
        Exception: What it raises.
        InputError: The process was killed.
    """
    context = worker_context()
    mine, theirs = context.Pipe(duplex=False)
    process = context.Process(target=_answer, args=(theirs, function, arguments, named), daemon=True)
    try:
        process.start()
        theirs.close()  # so that the end of the process is the end of the pipe
        returned, answer = mine.recv()
    except EOFError:
        process.join()
        raise InputError(
            f"Expected a process that was started aside to reach its end, but it was ended from outside with code "
            f"{process.exitcode} (-9: killed, often for lack of memory). Run the same command again."
        ) from None
    finally:
        if process.pid is not None:
            process.terminate()
            process.join()
        mine.close()
    if not returned:
        raise answer
    return cast("R", answer)


def _answer(pipe: Connection, function: Callable[..., Any], arguments: Sequence[Any], named: Mapping[str, Any]) -> None:
    """What the process aside does."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches the parent, which ends it
    end_with_parent()
    try:
        pipe.send((True, function(*arguments, **named)))
    except Exception as error:  # noqa: BLE001 - raised by the parent
        error.add_note(traceback.format_exc())
        pipe.send((False, error))


def end_with_parent() -> None:
    """End this process when the one that started it is gone, killed perhaps: a worker must not go on unseen."""
    parent = multiprocessing.parent_process()
    assert parent is not None  # this is a worker

    def follow() -> None:
        parent.join()
        os._exit(1)

    threading.Thread(target=follow, daemon=True).start()
