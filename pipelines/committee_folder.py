"""Finds the folder of a committee from whatever names it: a path, a name, an MLflow run or model. Loads no torch."""

from __future__ import annotations

import re
from pathlib import Path

from pipelines.workspace import Workspace

__all__ = ["find_committee"]

_TRACKED = re.compile(r"(runs:/)?[0-9a-f]{32}(/.*)?|models:/.+")


def find_committee(committee: str | Path | None) -> Path:
    """The folder of a finished committee given as a folder, a name, an MLflow run or a model; None for the newest.

    Raises:
        InputError: There is none, or it is unfinished.
    """
    if isinstance(committee, str) and _TRACKED.fullmatch(committee):
        from pipelines.tracking import bundle_of_run

        return bundle_of_run(Workspace(), committee)
    return Workspace().find(committee)
