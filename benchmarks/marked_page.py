"""Tables that benchmarks write into pages of the docs: what lies between two marks is replaced, the rest stays."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from pipelines.atomic import write_text

__all__ = ["replace_table", "with_table"]


def with_table(page: str, mark: str, lines: Sequence[str]) -> str:
    """The text of a page with these lines between `<!-- MARK -->` and `<!-- /MARK -->`.

    Raises:
        ValueError: The page has no such marks.
    """
    begin, end = f"<!-- {mark} -->", f"<!-- /{mark} -->"
    before, found, rest = page.partition(begin)
    _, closed, after = rest.partition(end)
    if not found or not closed:
        raise ValueError(f"Expected the page to have the marks {begin} and {end}.")
    return "\n".join([before + begin, *lines, end + after])


def replace_table(page: Path, mark: str, lines: Sequence[str]) -> None:
    """Write these lines between the marks of a page."""
    write_text(page, with_table(page.read_text(encoding="utf-8"), mark, lines))
