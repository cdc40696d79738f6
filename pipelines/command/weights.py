"""`ensemble weights …`: pretrained weights."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Optional

import typer

from pipelines.command.option import Quiet, Weights

__all__ = ["app"]

app = typer.Typer(help="Pretrained weights: what there is, what is here, getting it.", no_args_is_help=True)


@app.command("list")
def weights_list(weights: Weights = None) -> None:
    """List the catalogue: backbone, size, licence, training set, input, and where the file is."""
    from pipelines.weights_list import list_weights

    list_weights(weights or [])


@app.command("fetch")
def weights_fetch(
    names: Annotated[list[str], typer.Argument(metavar="NAME", help="Names of the catalogue.")],
    url: Annotated[Optional[str], typer.Option(help="Another source: http, https or file:PATH.")] = None,  # noqa: UP045
    to: Annotated[Optional[Path], typer.Option(help="Folder [$ENSEMBLE_WEIGHTS, else weights].")] = None,  # noqa: UP045
    quiet: Quiet = False,
) -> None:
    """Download weights, check and install them; resumes. Nothing else downloads any."""
    from pipelines.weights_fetch import fetch

    fetch(names, url=url, to=to, quiet=quiet)


@app.command("verify")
def weights_verify(
    names: Annotated[
        Optional[list[str]],  # noqa: UP045
        typer.Argument(metavar="NAME", help="Names of the catalogue; default: all that are here."),
    ] = None,
    weights: Weights = None,
) -> None:
    """Check digests and content of the weights that are here."""
    from pipelines.weights_list import verify_weights

    verify_weights(names or [], weights or [])


@app.command("path")
def weights_path(
    name: Annotated[str, typer.Argument(help="Name of the catalogue.")],
    weights: Weights = None,
) -> None:
    """Print where the file of a name lies."""
    from pipelines.weights_list import locate_weights

    typer.echo(locate_weights(name, weights or []))
