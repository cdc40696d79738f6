"""`ensemble predict`: its options."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated, Optional

import typer

from pipelines.command.option import Classes, Committee, Device, Inputs, Quiet

__all__ = ["predict"]


class Vote(StrEnum):
    """How one member's votes over the views are fused."""

    mean_probability = "mean_probability"
    mean_logit = "mean_logit"
    hard_vote = "hard_vote"


class DetectMode(StrEnum):
    """Where faces are searched for."""

    auto = "auto"
    mtcnn = "mtcnn"
    haar = "haar"
    none = "none"


class OnBad(StrEnum):
    """What becomes of images and rows that cannot be read."""

    error = "error"
    skip = "skip"


def predict(
    inputs: Inputs = None,
    tta: Annotated[int, typer.Option(help="Perturbed views of each face that every member votes over.")] = 1,
    out: Annotated[Path, typer.Option(help="Prediction file: .csv, .jsonl or .parquet.")] = Path("predictions.csv"),
    committee: Committee = None,
    detect: Annotated[DetectMode, typer.Option(help="Where and how to look for faces.")] = DetectMode.auto,
    vote: Annotated[Vote, typer.Option(help="How one member's views are fused.")] = Vote.mean_probability,
    batch_size: Annotated[int, typer.Option(help="Faces in memory at a time; never changes an answer.")] = 64,
    seed: Annotated[int, typer.Option(help="Seed of the views.")] = 0,
    calibrated: Annotated[
        bool, typer.Option("--calibrated", help="Probabilities at the committee's temperature; no vote changes.")
    ] = False,
    min_confidence: Annotated[
        Optional[float],  # noqa: UP045
        typer.Option(help="Label no face below this calibrated confidence; implies --calibrated."),
    ] = None,
    posteriors: Annotated[
        Optional[list[str]],  # noqa: UP045
        typer.Option(metavar="NAME=FILE", help="Probabilities of a member without a network; repeatable."),
    ] = None,
    draw: Annotated[
        Optional[Path],  # noqa: UP045
        typer.Option(metavar="DIR", help="Folder to draw each photo in, with boxes, labels and probabilities."),
    ] = None,
    on_bad: Annotated[
        OnBad, typer.Option(help="Images and rows that cannot be read: an error, or skipped and reported.")
    ] = OnBad.error,
    classes: Classes = None,
    device: Device = None,
    quiet: Quiet = False,
) -> None:
    """Predict faces in images, folders, zips or data sets.

    Without INPUT: the validation faces that the committee was fitted on.
    """
    from pipelines.class_option import read_wanted
    from pipelines.outside_answers import named_files

    answers, wanted = named_files(posteriors or []), read_wanted(classes or [])
    from pipelines.predict import predict_files

    summary = predict_files(
        inputs or [], out=out, committee=committee, tta=tta, vote=vote.value, detect=detect.value,
        batch_size=batch_size, seed=seed, calibrated=calibrated, min_confidence=min_confidence, device=device,
        quiet=quiet, posteriors=answers, classes=wanted, draw=draw, on_bad=on_bad.value,
    )  # fmt: skip
    for line in summary.lines():
        typer.echo(line)
    for line in summary.drawn:
        typer.echo(line)
    typer.echo(f"{out}: {summary.faces:,} faces ({', '.join(summary.counts())})")
