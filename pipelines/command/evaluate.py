"""`ensemble evaluate`: its options."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Optional

import typer

from pipelines.command.option import Classes, Committee, Device, Quiet

__all__ = ["evaluate"]


class Split(StrEnum):
    """Which faces."""

    train = "train"
    validation = "validation"
    test = "test"
    all = "all"


def evaluate(
    committee: Committee = None,
    split: Annotated[
        Split, typer.Option(help="Faces to evaluate on; a look at `test` is recorded; `all` is for `--data`.")
    ] = Split.validation,
    data: Annotated[Optional[str], typer.Option(help="Labelled faces other than those of the fit.")] = None,  # noqa: UP045
    classes: Classes = None,
    tta: Annotated[Optional[int], typer.Option(help="Views of each face [those of the fit].")] = None,  # noqa: UP045
    ablation: Annotated[bool, typer.Option("--ablation", help="Also what each member is worth.")] = False,
    device: Device = None,
    quiet: Quiet = False,
) -> None:
    """Score a committee, by class and member.

    Scores, classes, confusion, confidence, and whether it beats its best member.
    """
    from pipelines.class_option import read_wanted

    wanted = read_wanted(classes or [])
    from pipelines.evaluate import evaluate_committee

    evaluate_committee(
        committee, split=split.value, data=data, classes=wanted, tta=tta, ablation=ablation, device=device, quiet=quiet
    )
