"""`ensemble members …`: what members can be made of, and whether they can be built."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Optional

import typer

from pipelines.command.option import Weights

__all__ = ["app"]

app = typer.Typer(help="Check members, and list what they can be made of.", no_args_is_help=True)


@app.command("list")
def members_list() -> None:
    """List backbones, heads, losses, normalisers, rules and readers with their parameters."""
    from pipelines.members import listing

    typer.echo(listing())


@app.command("check")
def members_check(
    files: Annotated[list[Path], typer.Argument(help="One or several members.yaml.")],
    weights: Weights = None,
    overfit: Annotated[
        bool, typer.Option("--overfit", help="Let every member learn a few faces by heart, the sanity check.")
    ] = False,
    faces: Annotated[int, typer.Option(min=2, max=10_000, help="How many faces, for --overfit.")] = 50,
    data: Annotated[Optional[str], typer.Option(help="Where they come from [synthetic].")] = None,  # noqa: UP045
) -> None:
    """Build every member of the files: parameters, output shape and initial loss."""
    from pipelines.members import check

    check(files, weights=weights or [], overfit=faces if overfit else 0, data=data)
