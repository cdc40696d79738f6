"""Options that several commands have."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Optional

import typer

__all__ = [
    "Classes",
    "Committee",
    "Data",
    "Device",
    "Finished",
    "Inputs",
    "Members",
    "OwnCommittee",
    "Quiet",
    "Weights",
]

Inputs = Annotated[
    Optional[list[str]],  # noqa: UP045
    typer.Argument(metavar="INPUT", help="Images, folders, zips, globs, or one labelled data set."),
]
Members = Annotated[Path, typer.Option("--members", "-m", help="The members.yaml.")]
Data = Annotated[
    Optional[str], typer.Option(help="Overrides the YAML's data: a csv, zip, tar.gz or folder, or `synthetic`.")  # noqa: UP045
]
Weights = Annotated[Optional[list[Path]], typer.Option(help="Folder to look for weights files in; repeatable.")]  # noqa: UP045
Device = Annotated[Optional[str], typer.Option(help="Torch device; default: CUDA where there is one.")]  # noqa: UP045
Committee = Annotated[
    Optional[str],  # noqa: UP045
    typer.Option(help="A committee: folder, name, MLflow run or model; default: the newest finished one."),
]
OwnCommittee = Annotated[
    Optional[str],  # noqa: UP045
    typer.Option("--committee", help="A committee: folder or name; default: the newest finished one."),
]
Finished = Annotated[
    Optional[str],  # noqa: UP045
    typer.Argument(help="Folder, name, MLflow run or model of a committee [the newest finished one]."),
]
Classes = Annotated[
    Optional[list[str]],  # noqa: UP045
    typer.Option(metavar="NAME=NAME", help="What becomes of the data's classes, as contempt=,joy=happy; repeatable."),
]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="Print results only.")]
