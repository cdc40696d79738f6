"""Turns what happens in trials into progress bars, lines and tracked epochs."""

from __future__ import annotations

from collections.abc import Callable

from pipelines.console import Bar, Console
from pipelines.progress import Progress
from pipelines.study import Trial
from pipelines.trainer import Watcher
from pipelines.trial_run import TrialScore
from pipelines.tune_report import short_names, shown
from pipelines.tune_tracking import TuneTracking

__all__ = ["TuneListener"]

_PARTS = 100
"""Steps of the progress bar per epoch."""


class TuneListener:
    """Listens to the trials of a search, one after the other.

    Args:
        bars: Adds a progress bar.
        console: For lines.
        tracking: Told of epochs.
        wanted: Trials in all.
        folds: How often each is trained.
    """

    def __init__(
        self, bars: Callable[[str, int], Bar], console: Console, tracking: TuneTracking, *, wanted: int, folds: int
    ) -> None:
        self.console, self.tracking, self.wanted, self.folds = console, tracking, wanted, folds
        self.add, self.overall = bars, bars("trials", wanted)
        self.seconds: list[float] = []

    def start(self, trial: Trial, *, epochs: int) -> None:
        """A trial is about to run for so many epochs a fold."""
        self.trial, self.epochs = trial, epochs
        self.name = f"trial {trial.number} ({trial.number + 1}/{self.wanted})"
        self.bar = self.add(self.name, self.folds * epochs * _PARTS)
        self.overall.set(trial.number)

    def watch(self, fold: int) -> Watcher:
        """Who is told of the batches and epochs of a fold."""
        return _FoldWatcher(self, fold)

    def work(self, what: str, done: int, total: int) -> None:
        """So much is done of work that is no training."""
        self.bar.label(f"{self.name}: {what} {done / max(total, 1):.0%}")

    def end(self, trial: Trial, outcome: TrialScore | str) -> None:
        """A trial has its score, or the reason why it has none."""
        self.bar.remove()
        self.overall.set(trial.number + 1)
        names = short_names(list(trial.values))
        values = ", ".join(f"{name} {shown(value)}" for name, value in zip(names, trial.values.values(), strict=True))
        if isinstance(outcome, str):
            self.console.note(f"{self.name}: failed ({values}): {outcome}")
            return
        self.seconds.append(outcome.seconds)
        left = sum(self.seconds) / len(self.seconds) * (self.wanted - trial.number - 1)
        self.console.note(
            f"{self.name}: {values}  validation accuracy {outcome.accuracy:.4f}, nll {outcome.nll:.4f}, train "
            f"{outcome.train_accuracy:.4f}  {outcome.seconds:.1f} s, about {left:.0f} s left in all"
        )


class _FoldWatcher(Watcher):
    """Shows how far a fold is, and hands its epochs on."""

    def __init__(self, listener: TuneListener, fold: int) -> None:
        self.listener, self.fold, self.done = listener, fold, 0
        self.place = f"fold {fold + 1} of {listener.folds}, " if listener.folds > 1 else ""

    def note(self, line: str) -> None:
        """Something that the user should know."""
        self.listener.console.note(f"{self.listener.name}: {self.place}{line}")

    def start(self, progress: Progress) -> None:
        """Training starts, or goes on."""
        self._show(progress.epoch, 0.0)

    def batch(self, done: int, total: int) -> None:
        """A batch is done."""
        self._show(self.done, done / total)

    def epoch(self, progress: Progress) -> None:
        """An epoch is done."""
        self._show(progress.epoch, 0.0)
        listener, last = self.listener, progress.history[-1]
        listener.console.note(
            f"{listener.name}: {self.place}epoch {progress.epoch}/{listener.epochs}  validation accuracy "
            f"{last['validation_accuracy']:.4f}, nll {last['validation_nll']:.4f}  {last['seconds']:.1f} s"
        )
        if listener.folds == 1:
            listener.tracking.epochs(listener.trial, progress.history)

    def _show(self, done: int, share: float) -> None:
        listener = self.listener
        self.done = done
        listener.bar.set(int((self.fold * listener.epochs + done + share) * _PARTS))
        shown_epoch = min(done + 1, listener.epochs)
        listener.bar.label(f"{listener.name}: {self.place}epoch {shown_epoch}/{listener.epochs}")
