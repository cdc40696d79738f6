"""`ensemble data …`: labelled faces."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Optional

import typer

from pipelines.command.option import Classes

__all__ = ["app"]

app = typer.Typer(help="Look at labelled faces.", no_args_is_help=True)


@app.command("describe")
def data_describe(
    source: Annotated[str, typer.Argument(help="A csv, zip, tar.gz or folder, or `synthetic`.")],
    classes: Classes = None,
    reader: Annotated[Optional[str], typer.Option(help="Reader [default by the layout].")] = None,  # noqa: UP045
) -> None:
    """Count faces by split and class, and print the digest."""
    from pipelines.class_option import read_wanted
    from pipelines.members import describe_data

    describe_data(source, classes=read_wanted(classes or []), reader=reader)


@app.command("audit")
def data_audit(
    source: Annotated[str, typer.Argument(help="A csv, zip, tar.gz or folder, or `synthetic`.")],
    votes: Annotated[Optional[str], typer.Option(help="FER+ votes to hold the labels against.")] = None,  # noqa: UP045
    out: Annotated[Optional[Path], typer.Option(help="JSON file for the findings, with all names.")] = None,  # noqa: UP045
) -> None:
    """Look for pictures in two splits or with two labels, blank faces, and labels that votes contradict."""
    from pipelines.audit import audit_data

    audit_data(source, votes=votes, out=out)
