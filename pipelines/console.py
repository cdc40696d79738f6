"""What the user sees of long work: progress with time left, notes, tables. The one module that knows rich.

Results go to standard output, everything else to standard error. Without a terminal, progress is one line an epoch.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from rich.console import Console as RichConsole
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from rich.table import Table

__all__ = ["Bar", "Console"]


_WIDEST = 2_000


class Bar:
    """One progress bar; counts steps towards a total."""

    def __init__(self, progress: Progress, label: str, total: int) -> None:
        self._progress = progress
        self._task = progress.add_task(label, total=max(total, 1))

    def advance(self, steps: int = 1) -> None:
        """Some more steps are done."""
        self._progress.advance(self._task, steps)

    def set(self, done: int, total: int | None = None) -> None:
        """So many steps are done in all."""
        self._progress.update(self._task, completed=done, total=total)

    def remove(self) -> None:
        """Take the bar away."""
        self._progress.remove_task(self._task)

    def label(self, text: str) -> None:
        """Change the text before the bar."""
        self._progress.update(self._task, description=text)


class Console:
    """Standard error for progress and notes, standard output for results.

    Args:
        quiet: Say nothing but results and errors.
    """

    def __init__(self, *, quiet: bool = False) -> None:
        self.quiet = quiet
        self._errors = RichConsole(stderr=True, highlight=False, quiet=quiet)
        self._live = self._errors.is_terminal and not quiet

    @property
    def live(self) -> bool:
        """Whether progress bars are seen."""
        return self._live

    def note(self, text: str) -> None:
        """One line about what goes on."""
        if not self.quiet:
            self._errors.print(text, markup=False, soft_wrap=True)

    def result(self, text: str) -> None:
        """Lines on standard output, as they are."""
        sys.stdout.write(text.rstrip("\n") + "\n")

    @contextmanager
    def bars(self) -> Iterator[Callable[[str, int], Bar]]:
        """Several progress bars with elapsed and remaining time, added one by one; invisible without a terminal."""
        columns = (
            TextColumn("{task.description}"), BarColumn(bar_width=24), TaskProgressColumn(), TimeElapsedColumn(),
            TextColumn("left"), TimeRemainingColumn(),
        )  # fmt: skip
        with Progress(*columns, console=self._errors, transient=True, disable=not self._live) as progress:
            yield lambda label, total: Bar(progress, label, total)

    @contextmanager
    def bar(self, label: str, total: int) -> Iterator[Bar]:
        """A single progress bar."""
        with self.bars() as add:
            yield add(label, total)

    def table(
        self, title: str, header: Sequence[str], rows: Sequence[Sequence[Any]], *, strong: int | None = None
    ) -> None:
        """Print a table on standard output; the row `strong` is set in bold. Only a terminal cuts long cells."""
        table = Table(title=title, title_justify="left")
        for index, name in enumerate(header):
            table.add_column(name, justify="left" if index == 0 else "right", no_wrap=True)
        for index, row in enumerate(rows):
            table.add_row(*map(str, row), style="bold" if index == strong else None)
        width = None if sys.stdout.isatty() else max(140, RichConsole(width=_WIDEST).measure(table).maximum)
        RichConsole(highlight=False, width=width).print(table)
