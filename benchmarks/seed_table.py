"""The table of the seeds in `docs/results.md`: what the papers say, what was measured, what has not run."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pipelines.atomic import write_text

__all__ = ["Row", "render"]

_BEGIN, _END = "<!-- seeds: written by benchmarks.seeds -->", "<!-- seeds: end -->"
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
    text = page.read_text(encoding="utf-8")
    before, _, rest = text.partition(_BEGIN)
    _, _, after = rest.partition(_END)
    lines = [_HEADER, _RULE, *(_line(row, stored.get(row.member, {})) for row in rows)]
    write_text(page, before + _BEGIN + "\n" + "\n".join(lines) + "\n" + _END + after)


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
