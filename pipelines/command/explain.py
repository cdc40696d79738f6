"""`ensemble explain`: its options."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated, Optional

import typer

from pipelines.command.option import Committee, Device, Inputs, Quiet

__all__ = ["explain"]


class Choose(StrEnum):
    """Which validation faces."""

    mistakes = "mistakes"
    confident = "confident"
    uncertain = "uncertain"
    random = "random"


def explain(
    inputs: Inputs = None,
    committee: Committee = None,
    member: Annotated[
        Optional[list[str]],  # noqa: UP045
        typer.Option(help="Explain this member alone; repeatable."),
    ] = None,
    what: Annotated[
        Optional[str],  # noqa: UP045
        typer.Option(
            help="Of gradcam, occlusion, filters, activations, ascent, dream, agreement, with commas; or `all` "
            "[all but ascent and dream]."
        ),
    ] = None,
    faces: Annotated[int, typer.Option(help="Faces to explain.")] = 7,
    choose: Annotated[
        Optional[Choose],  # noqa: UP045
        typer.Option(help="Which validation faces, as many of each class [mistakes]."),
    ] = None,
    expression: Annotated[
        Optional[str],  # noqa: UP045
        typer.Option(help="Class that maps are about [what each face was predicted as]."),
    ] = None,
    out: Annotated[Optional[Path], typer.Option(help="Folder of the sheets [COMMITTEE/explain].")] = None,  # noqa: UP045
    device: Device = None,
    track: Annotated[bool, typer.Option("--track/--no-track", help="Log the sheets to MLflow.")] = True,
    seed: Annotated[int, typer.Option(min=0, help="Seed of a random choice, of noise and shifts.")] = 0,
    quiet: Quiet = False,
) -> None:
    """Draw what a committee looks at: maps on faces, filters, dreams.

    Without INPUT: validation faces of the fit, the most confident mistakes first.
    """
    from backbones.errors import InputError
    from pipelines.committee_folder import find_committee
    from pipelines.explain.request import check_expression, check_members, read_methods

    methods = read_methods(what)
    if faces < 1:
        raise InputError(f"Expected `--faces` to be at least 1, but got {faces}.")
    if inputs and choose:
        raise InputError(f"Expected `--choose {choose.value}` without INPUT: it picks from the validation faces.")
    folder = find_committee(committee)
    check_members(folder, member or [])
    label = check_expression(folder, expression)
    from pipelines.explain.explanation import explain_faces

    place = explain_faces(
        inputs or [], committee=folder, members=member or [], methods=methods, faces=faces,
        choice=choose.value if choose else None, expression=label, out=out, device=device, track=track, seed=seed,
        quiet=quiet,
    )  # fmt: skip
    typer.echo(f"{place / 'index.md'}: what {', '.join(member) if member else 'the committee'} looks at")
