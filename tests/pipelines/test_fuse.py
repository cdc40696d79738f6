"""Rules are fitted anew in whole, or the committee stays as it was."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from support import Outcome

from pipelines import fuse
from pipelines.stored_posteriors import StoredPosteriors

Cli = Callable[..., Outcome]


def contents(folder: Path) -> dict[str, bytes]:
    """All but the lock, which names the last command."""
    files = [path for path in folder.rglob("*") if path.is_file() and path.name != ".lock"]
    return {str(path.relative_to(folder)): path.read_bytes() for path in files}


def interrupt(*args: Any, **named: Any) -> None:
    raise KeyboardInterrupt


CHOICES = [("--rule", "mean"), ("--groups", "input"), ()]


@pytest.mark.parametrize("choice", CHOICES)
def test_an_interrupted_fit_of_rules_changes_nothing(
    tiny: Path, cli: Cli, monkeypatch: pytest.MonkeyPatch, choice: tuple[str, ...]
) -> None:
    folder = tiny / "mlruns" / "committees" / "tiny"
    before = contents(folder)
    with monkeypatch.context() as patch:
        patch.setattr(StoredPosteriors, "fit", interrupt)
        assert cli("fuse", *choice).code == 130
    assert contents(folder) == before
    assert cli("fuse", *choice).code == 0


@pytest.mark.parametrize("choice", CHOICES)
def test_damaged_posteriors_leave_a_committee_that_predicts(tiny: Path, cli: Cli, choice: tuple[str, ...]) -> None:
    folder = tiny / "mlruns" / "committees" / "tiny"
    (folder / "members" / "plain" / "posteriors.npz").write_bytes(b"no archive")
    before = contents(folder)
    done = cli("fuse", *choice)
    assert done.code == 2
    assert contents(folder) == before
    assert cli("predict").code == 0


def test_a_signal_while_the_rules_are_written_waits_for_their_end(
    tiny: Path, cli: Cli, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, save = tiny / "mlruns" / "committees" / "tiny", fuse.save_held_out

    def signalled(*args: Any) -> None:
        os.kill(os.getpid(), signal.SIGINT)
        save(*args)

    with monkeypatch.context() as patch:
        patch.setattr(fuse, "save_held_out", signalled)
        assert cli("fuse", "--rule", "mean").code == 130
    assert "rule: mean" in (folder / "committee.yaml").read_text()
    assert cli("predict").code == 0
    assert cli("verify").code == 0
