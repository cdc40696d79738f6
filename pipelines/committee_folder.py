"""Finds the folder of a committee from whatever names it: a path, a name, an MLflow run or model. Loads no torch."""

from __future__ import annotations

import re
from pathlib import Path

from backbones.errors import InputError
from pipelines.workspace import Workspace

__all__ = ["find_committee", "find_ready", "own_folder"]

_TRACKED = re.compile(r"(runs:/)?[0-9a-f]{32}(/.*)?|models:/.+")


def find_committee(committee: str | Path | None) -> Path:
    """The folder of a finished committee given as a folder, a name, an MLflow run or a model; None for the newest.

    Raises:
        InputError: There is none, or it is unfinished.
    """
    return _tracked(committee) or Workspace().find(committee)


def own_folder(committee: str | Path | None) -> Path:
    """The folder of a finished committee that is about to be changed: no run or model, which stay as they are.

    Raises:
        InputError: There is none, it is unfinished, or it is a run or a model.
    """
    if isinstance(committee, str) and _TRACKED.fullmatch(committee):
        raise InputError(
            f"Expected the folder or the name of a committee to change, but got {committee!r}: MLflow runs and models "
            "stay as they are. Copy the folder of the committee, and name the copy."
        )
    return Workspace().find(committee)


def find_ready(committee: str | Path | None) -> Path:
    """The same, but one inside the package for None where none has been fitted: to predict with.

    Raises:
        InputError: There is none, or it is unfinished.
    """
    return _tracked(committee) or Workspace().find_ready(committee)


def _tracked(committee: str | Path | None) -> Path | None:
    if not isinstance(committee, str) or not _TRACKED.fullmatch(committee):
        return None
    from pipelines.tracking import bundle_of_run

    return bundle_of_run(Workspace(), committee)
