"""The quick part of the fault harness: fits killed, interrupted, crowded, damaged; `make bench-faults` is the rest."""

from __future__ import annotations

import random
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
from faults.stage import Stage, digests
from faults.trials import (
    begun_fit,
    damaged_checkpoint,
    damaged_file,
    interrupted,
    killed,
    limited,
    two_fits,
)


@pytest.fixture(scope="module")
def stage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", "")
        patch.delenv("ENSEMBLE_RUNS", raising=False)
        yield Stage(tmp_path_factory.mktemp("stage"))


@pytest.fixture(scope="module")
def whole(stage: Stage) -> Path:
    """A fit that nothing happened to."""
    ended = stage.fit(stage.root / "whole").end()
    assert ended.code == 0, ended.text
    assert len(digests(stage.root / "whole")) == 7
    return stage.root / "whole"


def test_killed_it_ends_with_the_same_bytes(stage: Stage, whole: Path) -> None:
    trials = list(killed(stage, whole, random.Random(0), kills=3, length=0.8))
    assert len(trials) == 3, "a fit ended before it was killed"
    assert "while a checkpoint was written" in [trial.detail for trial in trials]
    assert all(trial.survived for trial in trials)


def test_terminated_it_says_so_and_resumes(stage: Stage, whole: Path) -> None:
    trial = interrupted(stage, whole, signal.SIGTERM)
    assert trial.survived, trial


def test_a_second_fit_is_told_of_the_first_and_takes_over_from_a_dead_one(stage: Stage, whole: Path) -> None:
    trial = two_fits(stage, whole)
    assert trial.survived, trial
    assert "fit --members small.yaml" in trial.said


def test_a_damaged_checkpoint_falls_back_to_the_one_before(stage: Stage, whole: Path) -> None:
    trial = damaged_checkpoint(stage, whole, begun_fit(stage), ("checkpoint.safetensors",), "flipped", random.Random(1))
    assert trial.survived, trial
    assert "goes on from the previous one, after epoch" in trial.said


def test_damaged_weights_are_found_and_trained_anew(stage: Stage, whole: Path) -> None:
    trial = damaged_file(stage, whole, "members/plain/weights.safetensors", "flipped", random.Random(2))
    assert trial.survived, trial


def test_no_room_for_a_checkpoint_is_one_message(stage: Stage, whole: Path) -> None:
    """A limit on the size of files does to a write what a full disk or a quota does, and needs no root."""
    trial = limited(stage, whole, largest=400_000)
    assert trial.survived, trial
    assert "File too large" in trial.said
    assert "checkpoint.safetensors" in trial.said
