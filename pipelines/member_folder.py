"""A member's folder: whether it is finished, where its networks lie, and room for another member of its name.

A member trained in folds holds its copies as members of their own in `folds/0`, `folds/1` …, and no weights itself.
Copies on their way have no finished member around them yet, so `folds/plan.json` says which one they are of.
"""

from __future__ import annotations

import shutil
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from backbones.errors import InputError
from ensemble.outside_spec import OUTSIDE
from pipelines.atomic import write_checked_json
from pipelines.bundle import SPEC, WEIGHTS, read_json
from pipelines.checkpoint_place import CHECKPOINT, checkpoint_fingerprint
from pipelines.spec_file import read_spec_file

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
    write_checked_json(folder / _FOLDS / _PLAN, {"fingerprint": fingerprint, "faces": list(faces)})


def make_room(folder: Path, fingerprint: str) -> None:
    """Put what is there of another spec aside, and take back what there is of this fingerprint.

    That is finished members, copies on their way and checkpoints; they lie under `replaced/` beside the members'
    folder. Of two with one fingerprint the finished one is kept.
    """
    shelf, tenant = folder.parent.parent / "replaced", _tenant(folder)
    if tenant is not None and tenant != fingerprint:
        shelf.mkdir(exist_ok=True)
        _move(folder, _place(shelf, folder, tenant), tenant)
    kept = _place(shelf, folder, fingerprint)
    if kept.is_dir():
        own = folder.is_dir() and _tenant(folder) == fingerprint
        if own and not (is_finished(kept, fingerprint) and not is_finished(folder, fingerprint)):
            return  # it goes on from where it is
        if folder.exists():
            shutil.rmtree(folder)  # of nobody, or the beginning of the member that is finished
        kept.rename(folder)
    folder.mkdir(parents=True, exist_ok=True)


def _place(shelf: Path, folder: Path, fingerprint: str) -> Path:
    """Where the member of that name and fingerprint lies while it is put aside."""
    return shelf / f"{folder.name}-{fingerprint[:12]}"


def _move(folder: Path, place: Path, fingerprint: str) -> None:
    """Put a member's folder aside, unless a finished one of this fingerprint lies there and this is none."""
    if is_finished(place, fingerprint) and not is_finished(folder, fingerprint):
        shutil.rmtree(folder)
        return
    shutil.rmtree(place, ignore_errors=True)
    folder.rename(place)


def _tenant(folder: Path) -> str | None:
    """Fingerprint of the member in a folder: of a finished one, of one whose copies are on their way, or begun."""
    if (folder / SPEC).is_file():
        return str(read_spec_file(folder)["fingerprint"])
    plan = folder / _FOLDS / _PLAN
    if plan.is_file():
        with suppress(InputError, KeyError):  # damaged: what its copies are of shows when they are gone on with
            return str(read_json(plan)["fingerprint"])
    return checkpoint_fingerprint(folder / CHECKPOINT)
