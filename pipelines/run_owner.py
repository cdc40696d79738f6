"""Which process writes a run, as a tag: a run that says it is running while its process is gone was killed."""

from __future__ import annotations

import os
import platform

import psutil

__all__ = ["is_gone", "this_process"]


def this_process() -> str:
    """Host, number and start of this process."""
    return f"{platform.node()} {os.getpid()} {psutil.Process().create_time():.0f}"


def is_gone(owner: str) -> bool:
    """Whether a process of this host has ended; of others nothing is known, so they count as alive."""
    host, _, rest = owner.partition(" ")
    number, _, started = rest.partition(" ")
    if host != platform.node() or not (number.isdigit() and started.isdigit()):
        return False
    try:
        process = psutil.Process(int(number))
        # The number may have been given to another process since; starts are known to about a second.
        return abs(process.create_time() - int(started)) > 2 or process.status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True
    except psutil.AccessDenied:
        return False
