"""The table of the seeds in `docs/results.md`: what the papers say, what was measured, what has not run."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.marked_page import replace_table

__all__ = ["Row", "render"]

_HEADER = "| paper | system | paper's accuracy | ours, validation | 95 % | parameters | epochs | seconds | device |"
_RULE = "|---|---|--:|--:|--:|--:|--:|--:|---|"


@dataclass(frozen=True)
class Row:
    """One system of one paper.

    Attributes:
        paper: Its authors.
        system: What they call it.
        file: YAML under `members/seeds/`, without suffix.
        member: Its member there.
        accuracy: The paper's accuracy on FER2013, validation where it gives both; None where it gives none.
    """

    paper: str
    system: str
    file: str
    member: str
    accuracy: float | None


def render(rows: Sequence[Row], stored: Mapping[str, Mapping[str, Any]], page: Path) -> None:
    """Replace the table in the page, between its two marks."""
    replace_table(page, "seeds", [_HEADER, _RULE, *(_line(row, stored.get(row.member, {})) for row in rows)])


def _line(row: Row, result: Mapping[str, Any]) -> str:
    claim = "" if row.accuracy is None else f"{row.accuracy:.2f}"
    cells = [row.paper, f"{row.system} (`{row.member}`)", claim]
    parameters = f"{result['parameters']:,}" if "parameters" in result else ""
    if "accuracy" in result:
        short = "*" if result["shortened"] else ""
        interval = f"{result['low']:.3f}-{result['high']:.3f}"
        cells += [f"{result['accuracy']:.4f}", interval, parameters, f"{result['epochs']}{short}"]
        start = result["weights"] or "no pretrained weights"
        cells += [f"{result['seconds']:.0f}", f"{result['device']}, {result['precision']}, {start}"]
    else:
        hours = f"not run, about {result['hours']:g} h on one core" if "hours" in result else "not run"
        cells += ["not run", "", parameters, "", "", hours]
    return "| " + " | ".join(cells) + " |"
