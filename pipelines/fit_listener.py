"""Turns the events of member jobs into progress bars, lines and tracked epochs."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from pipelines.console import Bar, Console
from pipelines.fit_tracking import FitTracking
from pipelines.member_job import MemberJob
from pipelines.progress import Progress

__all__ = ["FitListener"]

_RECENT = 10
"""Epochs that the time left is told by."""


class FitListener:
    """Listens to all jobs of a fit.

    Args:
        jobs: The jobs, by whose members events are named.
        bars: Adds a progress bar.
        console: For lines.
        tracking: Told of epochs and finished members.
    """

    def __init__(
        self, jobs: Sequence[MemberJob], bars: Callable[[str, int], Bar], console: Console, tracking: FitTracking
    ) -> None:
        self.jobs = {job.spec.name: job for job in jobs}
        self.add, self.console, self.tracking = bars, console, tracking
        self.shown: dict[str, Bar] = {}

    def __call__(self, member: str, event: str, payload: Any) -> None:
        """Hand an event on to whom it concerns."""
        match event:
            case "work":
                self._show(member, *payload)
            case "weights":
                self.console.note(payload)
            case "note":
                self.console.note(f"{member}: {payload}")
            case "lost":
                self._hide(member)
                self.console.note(f"{member}: not finished, the others go on: {payload}")
            case "epoch":
                self._epoch(member, payload)
                self.tracking.epochs(member, payload.history)
            case "copy":
                number, copies, progress = payload
                self._epoch(member, progress, number, copies)
                self.tracking.copy_epochs(member, progress.history, before=number * self.jobs[member].spec.epochs)
            case "done":
                self._hide(member)
                self.console.note(f"{member}: finished")
                self.tracking.finish_member(member)

    def _show(self, member: str, what: str, done: int, total: int) -> None:
        if member not in self.shown:
            self.shown[member] = self.add(member, total)
        self.shown[member].set(done, total)
        self.shown[member].label(f"{member}: {what}")

    def _hide(self, member: str) -> None:
        if member in self.shown:
            self.shown.pop(member).remove()

    def _epoch(self, member: str, progress: Progress, number: int = 0, copies: int = 1) -> None:
        """Tell of an epoch, of the copy of that number where there are several."""
        last, epochs = progress.history[-1], self.jobs[member].spec.epochs
        left = _pace(progress) * (epochs * (copies - number) - progress.epoch)
        name = member if copies == 1 else f"{member}, copy {number + 1} of {copies}"
        self.console.note(
            f"{name}: epoch {progress.epoch}/{epochs}  train loss {last['train_loss']:.4f}  "
            f"validation accuracy {last['validation_accuracy']:.4f}, nll {last['validation_nll']:.4f}  "
            f"{last['seconds']:.1f} s, about {left:.0f} s left"
        )


def _pace(progress: Progress) -> float:
    """Seconds that an epoch takes of late: the first one sets things up, and later stages may learn more."""
    recent = (progress.history[1:] or progress.history)[-_RECENT:]
    return sum(record["seconds"] for record in recent) / len(recent)
