"""What was left out of a data set because it cannot be read, and why: `on_bad: skip` asks for it."""

from __future__ import annotations

import csv
from pathlib import Path

from pipelines.atomic import replacing
from pipelines.plain_name import plain_name

__all__ = ["SKIPPED", "SkipReport"]

SKIPPED = "skipped.csv"
"""Name of the report beside stored faces, and in a committee's folder."""


_HEADER = ("file", "reason")


class SkipReport:
    """Collects what is skipped, in the order in which it was found.

    Attributes:
        entries: (what, reason) of each.
    """

    def __init__(self) -> None:
        self.entries: list[tuple[str, str]] = []

    def __len__(self) -> int:
        return len(self.entries)

    def add(self, name: str, reason: str) -> None:
        """Take note of an image or a row."""
        self.entries.append((plain_name(name), plain_name(reason)))

    @staticmethod
    def wrote(path: Path) -> bool:
        """Whether a file is such a report."""
        try:
            with path.open(encoding="utf-8") as file:
                return file.readline().strip() == ",".join(_HEADER)
        except (FileNotFoundError, IsADirectoryError, UnicodeDecodeError):
            return False

    @staticmethod
    def remove(path: Path) -> None:
        """Remove such a file, and no other of that name."""
        if SkipReport.wrote(path):
            path.unlink(missing_ok=True)

    def write(self, path: Path) -> None:
        """Write the csv `file,reason`; whole or not at all."""
        with (
            replacing(path) as temporary,
            temporary.open("w", encoding="utf-8", newline="") as file,
        ):
            table = csv.writer(file)
            table.writerow(_HEADER)
            table.writerows(self.entries)
