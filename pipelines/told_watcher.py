"""Hands what the training loop says on as a job's events."""

from __future__ import annotations

from pipelines.member_job import Listener
from pipelines.progress import Progress
from pipelines.trainer import Watcher

__all__ = ["ToldWatcher"]


class ToldWatcher(Watcher):
    """Tells a listener of notes, batches and epochs.

    Args:
        name: The member's.
        epochs: It is trained for at most.
        listen: Told.
    """

    def __init__(self, name: str, epochs: int, listen: Listener) -> None:
        self.name, self.epochs, self.listen, self.done = name, epochs, listen, 0

    def note(self, line: str) -> None:
        """Something that the user should know."""
        self.listen(self.name, "note", line)

    def batch(self, done: int, total: int) -> None:
        """A batch of the running epoch is done."""
        self.listen(self.name, "work", ("epochs", self.done * total + done, self.epochs * total))

    def start(self, progress: Progress) -> None:
        """Training starts, or goes on."""
        self.done = progress.epoch

    def epoch(self, progress: Progress) -> None:
        """An epoch is done."""
        self.done = progress.epoch
        self.listen(self.name, "epoch", progress)
