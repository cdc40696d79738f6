"""`ensemble export`: its options."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Optional

import typer

from pipelines.command.option import Finished, Quiet

__all__ = ["export"]


def export(
    committee: Finished = None,
    out: Annotated[Optional[Path], typer.Option(help="The file, or a folder for it [NAME.onnx].")] = None,  # noqa: UP045
    members: Annotated[
        Optional[str],  # noqa: UP045
        typer.Option(metavar="NAME,NAME", help="Export these members by themselves, a file each."),
    ] = None,
    data: Annotated[
        Optional[str],  # noqa: UP045
        typer.Option(help="Faces to compare the file with the committee on [validation faces of the fit]."),
    ] = None,
    quiet: Quiet = False,
) -> None:
    """Write a committee as one ONNX file.

    From pixels to fused probabilities; it is compared with the committee before it is written.
    """
    from pipelines.export.request import check_packages, read_names

    check_packages()
    names = read_names(members)
    from pipelines.export.export import export_committee

    export_committee(committee, out=out, members=names, data=data, quiet=quiet)
