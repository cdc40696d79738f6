"""`ensemble report`: its options."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Optional

import typer

from pipelines.command.option import Committee, Quiet

__all__ = ["report"]


def report(
    committee: Committee = None,
    out: Annotated[Optional[Path], typer.Option(help="The file [report.html in the committee's folder].")] = None,  # noqa: UP045
    quiet: Quiet = False,
) -> None:
    """Write a committee's report as one HTML page."""
    from pipelines.report import report_committee

    report_committee(committee, out=out, quiet=quiet)
