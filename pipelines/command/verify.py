"""`ensemble verify`: its options."""

from __future__ import annotations

from typing import Annotated, Optional

import typer

from pipelines.command.option import Device, Finished, Quiet

__all__ = ["verify"]


def verify(
    bundle: Finished = None,
    faces: Annotated[
        int,
        typer.Option(help="Faces per member and split whose posteriors are computed again; 0 runs none."),
    ] = 64,
    tolerance: Annotated[
        Optional[float],  # noqa: UP045
        typer.Option(help="Largest difference of a probability that passes [0 on the fit's machine, else 1e-4]."),
    ] = None,
    device: Device = None,
    quiet: Quiet = False,
) -> None:
    """Check that a committee is as computed.

    Its files, a sample of its posteriors from the weights, its rules.
    """
    from pipelines.verify import verify_committee

    verify_committee(bundle, faces=faces, tolerance=tolerance, device=device, quiet=quiet)
