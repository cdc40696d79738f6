"""Runs member jobs side by side, each in a process of its own.

Small networks do not use several cores well: their threads wait for each other. Members are independent, so cores are
better spent on several members, with few threads each.
"""

from __future__ import annotations

import signal
import time
import traceback
from collections.abc import Sequence
from multiprocessing.connection import Connection, wait
from typing import Any

from backbones.errors import InputError
from pipelines.atomic import explain_os_error
from pipelines.environment import core_count, prepare_environment
from pipelines.member_job import Listener, MemberJob
from pipelines.out_of_memory import telling_memory
from pipelines.worker_process import end_with_parent, worker_context

__all__ = ["run_jobs", "worker_count"]

_QUICKEST = 0.2
"""Seconds between two reports of work."""


def worker_count(jobs: int | None, device_type: str = "cpu") -> int:
    """Processes to train members in: as asked for, else one per core up to four on a CPU, one on an accelerator."""
    if jobs is not None:
        return jobs
    return min(4, core_count()) if device_type == "cpu" else 1


def run_jobs(jobs: Sequence[MemberJob], *, processes: int, listen: Listener) -> None:
    """Run all jobs, in order, `processes` at a time.

    A job that cannot be finished, because its loss is no number, its memory too small or its process killed, does not
    keep the others from their end.

    Args:
        jobs: What to do.
        processes: 1 runs them here, one after the other.
        listen: Called in this process with every event; with (name, "done", None) or (name, "lost", reason) after each
            job.

    Raises:
        InputError: Jobs could not be finished: all reasons, after the other jobs have ended.
        OSError: The disk is full, or the like: no job goes on.
    """
    if processes == 1:
        lost = _run_here(jobs, listen)
    else:
        workforce = _Workforce(jobs, processes, listen)
        workforce.run()
        lost = workforce.lost
    if lost:
        raise InputError("\n".join(lost))


def _run_here(jobs: Sequence[MemberJob], listen: Listener) -> list[str]:
    """Run jobs one after the other; returns why some could not be finished."""
    lost = []
    for job in jobs:
        try:
            with telling_memory(job.spec):
                job.run(listen)
        except InputError as error:
            lost.append(str(error))
            listen(job.spec.name, "lost", str(error))
        else:
            listen(job.spec.name, "done", None)
    return lost


class _Workforce:
    """The processes at work, each with a pipe of its own: one that is killed leaves nothing half written to others."""

    def __init__(self, jobs: Sequence[MemberJob], processes: int, listen: Listener) -> None:
        self.context = worker_context()
        self.waiting, self.processes, self.listen = list(jobs), processes, listen
        self.working: dict[Connection, tuple[str, Any]] = {}
        self.lost: list[str] = []

    def run(self) -> None:
        """Start jobs while there are free places, and hand on events until all are done."""
        try:
            while self.waiting or self.working:
                while self.waiting and len(self.working) < self.processes:
                    self._start(self.waiting.pop(0))
                for pipe in wait(list(self.working)):
                    assert isinstance(pipe, Connection)
                    self._receive(pipe)
        finally:
            started = [process for _, process in self.working.values() if process.pid is not None]
            for process in started:
                process.terminate()
            for process in started:
                process.join()

    def _start(self, job: MemberJob) -> None:
        mine, theirs = self.context.Pipe(duplex=False)
        process = self.context.Process(target=_work, args=(job, theirs), daemon=True)
        self.working[mine] = (job.spec.name, process)  # before it starts, in case that is interrupted
        process.start()
        theirs.close()  # so that the end of the worker is the end of the pipe

    def _receive(self, pipe: Connection) -> None:
        name, process = self.working[pipe]
        try:
            member, event, payload = pipe.recv()
        except (EOFError, OSError):  # it ended without a word, perhaps in the middle of one
            process.join()
            member, event, payload = name, "wrong", _killed(name, process.exitcode)
        if event == "failed":
            raise RuntimeError(f"member `{member}`:\n{payload}")
        if event == "disk":
            raise InputError(payload)
        if event in ("done", "wrong"):
            del self.working[pipe]
            pipe.close()
            process.join()
        if event == "wrong":
            self.lost.append(payload)
            event = "lost"
        self.listen(member, event, payload)


def _killed(member: str, code: int | None) -> str:
    return (
        f"Expected the process that trained member `{member}` to reach its end, but it was ended from outside with "
        f"code {code} (-9: killed, often for lack of memory). Run the same command again, which resumes after the last "
        f"whole epoch; `--jobs 1` and a smaller `batch_size` need less memory."
    )


def _work(job: MemberJob, pipe: Connection) -> None:
    """What a worker process does."""
    prepare_environment()
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches the parent, which ends its workers
    end_with_parent()
    name, last = job.spec.name, 0.0

    def listen(member: str, event: str, payload: Any) -> None:
        nonlocal last
        now = time.monotonic()
        if event != "work" or now - last > _QUICKEST:
            last = now
            pipe.send((member, event, payload))

    try:
        with telling_memory(job.spec):
            job.run(listen)
        pipe.send((name, "done", None))
    except InputError as error:
        pipe.send((name, "wrong", str(error)))
    except OSError as error:
        pipe.send((name, "disk", explain_os_error(error)))
    except Exception:  # noqa: BLE001 - told to the parent, which raises it
        pipe.send((name, "failed", traceback.format_exc()))
