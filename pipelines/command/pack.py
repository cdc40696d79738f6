"""`ensemble pack`: its options."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Optional

import typer

from pipelines.command.option import Data, Device, Quiet

__all__ = ["pack"]


def pack(
    committee: Annotated[
        Optional[str],  # noqa: UP045
        typer.Argument(help="Folder, name or MLflow run of a committee [the newest finished one]."),
    ] = None,
    out: Annotated[Optional[Path], typer.Option(help="Folder of the pack [COMMITTEE-pack].")] = None,  # noqa: UP045
    mib: Annotated[float, typer.Option(help="Most MiB that it may take; members are left out until it fits.")] = 12.0,
    data: Data = None,
    device: Device = None,
    quiet: Quiet = False,
) -> None:
    """Make a committee small enough to hand on: half-precision weights, no posteriors, a model card."""
    from pipelines.pack import pack_committee

    pack_committee(committee, out=out, mebibytes=mib, data=data, device=device, quiet=quiet)
