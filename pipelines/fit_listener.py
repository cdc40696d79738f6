"""Turns the events of member jobs into progress bars, lines and tracked epochs."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from pipelines.checkpoint import Progress
from pipelines.console import Bar, Console
from pipelines.fit_tracking import FitTracking
from pipelines.member_job import MemberJob

__all__ = ["FitListener"]


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
                what, done, total = payload
                if member not in self.shown:
                    self.shown[member] = self.add(member, total)
                self.shown[member].set(done, total)
                self.shown[member].label(f"{member}: {what}")
            case "weights":
                self.console.note(payload)
            case "epoch":
                self._epoch(member, payload)
                self.tracking.epochs(member, payload.history)
            case "copy":
                number, copies, progress = payload
                self._epoch(member, progress, number, copies)
                self.tracking.copy_epochs(member, progress.history, before=number * self.jobs[member].spec.epochs)
            case "done":
                if member in self.shown:
                    self.shown.pop(member).remove()
                self.console.note(f"{member}: finished")
                self.tracking.finish_member(member, self.jobs[member].folder)

    def _epoch(self, member: str, progress: Progress, number: int = 0, copies: int = 1) -> None:
        """Tell of an epoch, of the copy of that number where there are several."""
        last, epochs = progress.history[-1], self.jobs[member].spec.epochs
        left = progress.seconds / progress.epoch * (epochs * (copies - number) - progress.epoch)
        name = member if copies == 1 else f"{member}, copy {number + 1} of {copies}"
        self.console.note(
            f"{name}: epoch {progress.epoch}/{epochs}  train loss {last['train_loss']:.4f}  "
            f"validation accuracy {last['validation_accuracy']:.4f}, nll {last['validation_nll']:.4f}  "
            f"{last['seconds']:.1f} s, about {left:.0f} s left"
        )
