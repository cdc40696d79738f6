"""Processes of their own for members: how they start, and that none outlives the one that started it.

On Linux a server loads the libraries once and every worker is a fork of it: workers start at once, and share the memory
that the libraries take. Elsewhere, where forking is unknown or unsafe beside the system's libraries, each is started
anew. The process that starts them needs no torch.
"""

from __future__ import annotations

import multiprocessing
import os
import platform
import threading
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from typing import TYPE_CHECKING, ParamSpec, TypeVar

from pipelines.environment import prepare_environment

if TYPE_CHECKING:  # not all of them are there on every system
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
    """
    with ProcessPoolExecutor(max_workers=1, mp_context=worker_context()) as pool:
        return pool.submit(function, *arguments, **named).result()


def end_with_parent() -> None:
    """End this process when the one that started it is gone, killed perhaps: a worker must not go on unseen."""
    parent = multiprocessing.parent_process()
    assert parent is not None  # this is a worker

    def follow() -> None:
        parent.join()
        os._exit(1)

    threading.Thread(target=follow, daemon=True).start()
