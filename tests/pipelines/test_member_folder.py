"""Room for a member: what is put aside, and that nothing finished is ever lost to something begun."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from pipelines.atomic import write_json
from pipelines.bundle import SPEC, WEIGHTS
from pipelines.checkpoint import save_checkpoint
from pipelines.checkpoint_place import CHECKPOINT
from pipelines.member_folder import FOLDED, copy_folder, is_finished, make_room, plan_folds
from pipelines.progress import Progress

F, G = "f" * 64, "0" * 64


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "members" / "net"


def finish(folder: Path, fingerprint: str, *, folds: int | None = None) -> None:
    """What a finished member leaves: networks and spec, and of copies their plan."""
    for place in [folder] if folds is None else [copy_folder(folder, number) for number in range(folds)]:
        place.mkdir(parents=True, exist_ok=True)
        (place / WEIGHTS).write_text(fingerprint)
    if folds is not None:
        plan_folds(folder, fingerprint=fingerprint, faces=[1] * folds)
    spec = {"name": folder.name} if folds is None else {"name": folder.name, "folds": folds}
    write_json(folder / SPEC, {"fingerprint": fingerprint, "kind": FOLDED if folds else "trained", "spec": spec})


def begin(folder: Path, fingerprint: str) -> None:
    """What a member leaves that is stopped after an epoch."""
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=0.1)
    save_checkpoint(folder / CHECKPOINT, Progress(fingerprint, epoch=1), {}, optimizer)


def begin_copies(folder: Path, fingerprint: str) -> None:
    """What a member with folds leaves that is stopped in its first copy."""
    copy_folder(folder, 0).mkdir(parents=True)
    plan_folds(folder, fingerprint=fingerprint, faces=[1, 1])


def shelf(folder: Path) -> list[str]:
    return sorted(path.name for path in (folder.parent.parent / "replaced").iterdir())


@pytest.mark.parametrize("stopped", ["at once", "after an epoch"])
def test_a_finished_member_is_taken_back_after_another_was_begun(folder: Path, stopped: str) -> None:
    finish(folder, F)
    make_room(folder, G)
    assert shelf(folder) == [f"net-{F[:12]}"]
    if stopped == "after an epoch":
        begin(folder, G)
    make_room(folder, F)
    assert is_finished(folder, F)
    assert not (folder / CHECKPOINT).exists()
    if stopped == "after an epoch":
        make_room(folder, G)
        assert (folder / CHECKPOINT).is_file(), "the one begun goes on from where it was"
    make_room(folder, F)
    assert (folder / WEIGHTS).read_text() == F


def test_finished_copies_are_taken_back_after_others_were_begun(folder: Path) -> None:
    finish(folder, F, folds=2)
    make_room(folder, G)
    begin_copies(folder, G)
    make_room(folder, F)
    assert is_finished(folder, F)
    assert shelf(folder) == [f"net-{G[:12]}"]


def test_a_finished_member_on_the_shelf_is_not_replaced_by_its_own_beginning(folder: Path) -> None:
    finish(folder, F, folds=2)
    make_room(folder, G)
    begin_copies(folder, F)  # as a fit did that found no way back
    make_room(folder, G)
    kept = folder.parent.parent / "replaced" / f"net-{F[:12]}"
    assert is_finished(kept, F)
    begin_copies(folder, F)
    make_room(folder, F)
    assert is_finished(folder, F)


def test_what_is_begun_of_the_wanted_member_stays(folder: Path) -> None:
    make_room(folder, F)
    begin(folder, F)
    make_room(folder, F)
    assert (folder / CHECKPOINT).is_file()
    assert not (folder.parent.parent / "replaced").exists()


def test_two_finished_members_of_one_fingerprint_leave_the_later_one(folder: Path) -> None:
    finish(folder, F)
    make_room(folder, G)
    finish(folder, F)
    (folder / WEIGHTS).write_text("later")
    make_room(folder, F)
    assert (folder / WEIGHTS).read_text() == "later"
    make_room(folder, G)
    assert (folder.parent.parent / "replaced" / f"net-{F[:12]}" / WEIGHTS).read_text() == "later"
