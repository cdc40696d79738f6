"""A member's folder: whether it is finished, where its networks lie, and room for another member of its name.

A member trained in folds holds its copies as members of their own in `folds/0`, `folds/1` …, and no weights itself.
Copies on their way have no finished member around them yet, so `folds/plan.json` says which one they are of.
"""

from __future__ import annotations

import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ensemble.outside_spec import OUTSIDE
from pipelines.atomic import write_json
from pipelines.bundle import read_json
from pipelines.member import SPEC, WEIGHTS, read_spec_file

__all__ = ["FOLDED", "copy_folder", "is_finished", "make_room", "network_folders", "plan_folds"]

FOLDED = "folded"
"""The `kind` in the `spec.json` of a member trained in folds."""

_FOLDS = "folds"
_PLAN = "plan.json"


def copy_folder(folder: Path, number: int) -> Path:
    """Where the copy without the fold of that number lies in a member's folder."""
    return folder / _FOLDS / str(number)


def network_folders(folder: Path, content: Mapping[str, Any]) -> list[Path]:
    """Where a member's networks lie: its own folder, or those of its copies.

    Args:
        folder: The member's folder.
        content: Its `spec.json`.
    """
    folds = content["spec"].get("folds")
    return [folder] if folds is None else [copy_folder(folder, number) for number in range(folds)]


def is_finished(folder: Path, fingerprint: str) -> bool:
    """Whether the folder holds the finished member of that fingerprint; an outside member has no weights."""
    if not (folder / SPEC).is_file():
        return False
    content = read_spec_file(folder)
    if content.get("fingerprint") != fingerprint:
        return False
    return content.get("kind") == OUTSIDE or all((p / WEIGHTS).is_file() for p in network_folders(folder, content))


def plan_folds(folder: Path, *, fingerprint: str, faces: Sequence[int]) -> None:
    """Write down which member the copies in its folder are of, before there are any.

    Args:
        folder: The member's folder.
        fingerprint: The member's.
        faces: How many faces each copy does without.
    """
    write_json(folder / _FOLDS / _PLAN, {"fingerprint": fingerprint, "faces": list(faces)})


def make_room(folder: Path, fingerprint: str) -> None:
    """Put a finished member of another spec aside, and take back the one of this fingerprint if it was put aside.

    So are copies of another spec, be they all there or not. Nothing that was trained is deleted: it lies under
    `replaced/` beside the members' folder.
    """
    shelf, tenant = folder.parent.parent / "replaced", _tenant(folder)
    if tenant is not None and tenant != fingerprint:
        old = shelf / f"{folder.name}-{tenant[:12]}"
        shelf.mkdir(exist_ok=True)
        shutil.rmtree(old, ignore_errors=True)
        folder.rename(old)
    kept = shelf / f"{folder.name}-{fingerprint[:12]}"
    if kept.is_dir() and not folder.exists():
        kept.rename(folder)
    folder.mkdir(parents=True, exist_ok=True)


def _tenant(folder: Path) -> str | None:
    """Fingerprint of the member in a folder: of a finished one, or of one whose copies are on their way."""
    if (folder / SPEC).is_file():
        return str(read_spec_file(folder)["fingerprint"])
    plan = folder / _FOLDS / _PLAN
    return str(read_json(plan)["fingerprint"]) if plan.is_file() else None
