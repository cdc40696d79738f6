"""`ensemble pack`: its options."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Optional

import typer

from pipelines.command.option import Device, Finished, Quiet

__all__ = ["pack"]


def pack(
    committee: Finished = None,
    out: Annotated[Optional[Path], typer.Option(help="Folder of the pack [COMMITTEE-pack].")] = None,  # noqa: UP045
    mib: Annotated[float, typer.Option(help="Most MiB that it may take; members are left out until it fits.")] = 12.0,
    data: Annotated[Optional[str], typer.Option(help="The faces of the fit, if they lie elsewhere now.")] = None,  # noqa: UP045
    device: Device = None,
    quiet: Quiet = False,
) -> None:
    """Make a committee small enough to hand on.

    Half-precision weights, no posteriors, and a model card with numbers measured on what is in the pack.
    """
    from pipelines.pack import pack_committee

    pack_committee(committee, out=out, mebibytes=mib, data=data, device=device, quiet=quiet)
