"""Runs member jobs side by side, each in a process of its own.

Small networks do not use several cores well: their threads wait for each other. Members are independent, so cores are
better spent on several members, with few threads each.
"""

from __future__ import annotations

import multiprocessing
import os
import queue
import signal
import threading
import time
import traceback
from collections.abc import Sequence
from typing import Any

from backbones.errors import EnsembleError, InputError
from pipelines.atomic import explain_os_error
from pipelines.environment import prepare_environment
from pipelines.member_job import Listener, MemberJob

__all__ = ["run_jobs", "worker_count"]

_QUICKEST = 0.2
_POLL = 0.5


def worker_count(jobs: int | None, device_type: str) -> int:
    """Processes to train members in: as asked for, else one per core up to four on a CPU, one on an accelerator."""
    if jobs is not None:
        return jobs
    return min(4, os.cpu_count() or 1) if device_type == "cpu" else 1


def run_jobs(jobs: Sequence[MemberJob], *, processes: int, listen: Listener) -> None:
    """Run all jobs, in order, `processes` at a time.

    Args:
        jobs: What to do.
        processes: 1 runs them here, one after the other.
        listen: Called in this process with every event, and with (name, "done", None) after each job.

    Raises:
        InputError: A job met wrong input; the others are stopped and resume next time.
        EnsembleError: A worker ended without a word, e.g. killed for lack of memory.
    """
    if processes == 1:
        for job in jobs:
            job.run(listen)
            listen(job.spec.name, "done", None)
        return
    _Workforce(jobs, processes, listen).run()


class _Workforce:
    """The processes at work and the events that they send."""

    def __init__(self, jobs: Sequence[MemberJob], processes: int, listen: Listener) -> None:
        self.context = multiprocessing.get_context("spawn")
        self.waiting, self.processes, self.listen = list(jobs), processes, listen
        self.events: Any = self.context.Queue()
        self.working: dict[str, Any] = {}

    def run(self) -> None:
        """Start jobs while there are free places, and hand on events until all are done."""
        try:
            while self.waiting or self.working:
                while self.waiting and len(self.working) < self.processes:
                    self._start(self.waiting.pop(0))
                try:
                    self._handle(*self.events.get(timeout=_POLL))
                except queue.Empty:
                    self._look_for_the_dead()
        finally:
            for process in self.working.values():
                process.terminate()
            for process in self.working.values():
                process.join()

    def _start(self, job: MemberJob) -> None:
        process = self.context.Process(target=_work, args=(job, self.events, os.getpid()), daemon=True)
        process.start()
        self.working[job.spec.name] = process

    def _handle(self, member: str, event: str, payload: Any) -> None:
        if event == "wrong":
            raise InputError(payload)
        if event == "failed":
            raise RuntimeError(f"member `{member}`:\n{payload}")
        if event == "done":
            self.working.pop(member).join()
        self.listen(member, event, payload)

    def _look_for_the_dead(self) -> None:
        for member, process in self.working.items():
            if process.exitcode is not None and self.events.empty():
                raise EnsembleError(
                    f"The process that trained `{member}` ended with code {process.exitcode} (-9: killed, often for "
                    f"lack of memory). Run the same command again to resume; `--jobs 1` needs the least memory."
                )


def _follow(parent: int) -> None:
    """End this process when its parent is gone, killed perhaps: a worker must not go on unseen."""
    while os.getppid() == parent:
        time.sleep(_POLL)
    os._exit(1)


def _work(job: MemberJob, events: Any, parent: int) -> None:
    """What a worker process does."""
    prepare_environment()
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches the parent, which ends its workers
    last = 0.0

    threading.Thread(target=_follow, args=(parent,), daemon=True).start()

    def listen(member: str, event: str, payload: Any) -> None:
        nonlocal last
        now = time.monotonic()
        if event != "work" or now - last > _QUICKEST:
            last = now
            events.put((member, event, payload))

    name = job.spec.name
    try:
        job.run(listen)
        events.put((name, "done", None))
    except InputError as error:
        events.put((name, "wrong", str(error)))
    except OSError as error:
        events.put((name, "wrong", explain_os_error(error)))
    except Exception:  # noqa: BLE001 - told to the parent, which raises it
        events.put((name, "failed", traceback.format_exc()))
