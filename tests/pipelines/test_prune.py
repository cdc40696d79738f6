"""Smaller committees out of finished ones."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from support import TINY, run_process

from pipelines.bundle import verify
from pipelines.predictor import Predictor


@pytest.fixture(scope="module")
def fitted(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A working directory with a fitted committee of two members."""
    folder = tmp_path_factory.mktemp("prune")
    (folder / "members.yaml").write_text(TINY.replace("epochs: 3", "epochs: 1"))
    done = run_process("fit", "--members", "members.yaml", "--jobs", "1", "--no-track", cwd=folder)
    assert done.code == 0, done.err
    return folder


def test_one_member_is_left_and_predicts(fitted: Path) -> None:
    done = run_process("fuse", "--prune", "1", cwd=fitted)
    assert done.code == 0, done.err
    assert "left out" in done.out
    committees = fitted / "mlruns" / "committees"
    smaller = Predictor.load(committees / "tiny-pruned")
    assert len(smaller.members) == 1
    assert verify(committees / "tiny-pruned") == []
    assert verify(committees / "tiny") == []
    whole = json.loads((committees / "tiny" / "report.json").read_text())
    assert len(whole["members"]) == 2


def test_a_budget_is_measured_and_kept(fitted: Path) -> None:
    done = run_process("fuse", "--committee", "tiny", "--budget-ms", "1e6", "--out", "cheap", cwd=fitted)
    assert done.code == 0, done.err
    done = run_process("fuse", "--committee", "tiny", "--budget-ms", "1e-9", cwd=fitted)
    assert done.code == 2
    assert "Expected room for at least one member, but got 1e-09." in done.err


def test_another_rule_takes_over_and_stays(fitted: Path) -> None:
    done = run_process("fuse", "--committee", "tiny", "--rule", "mean", cwd=fitted)
    assert done.code == 0, done.err
    assert "rule:" not in done.out
    folder = fitted / "mlruns" / "committees" / "tiny"
    assert json.loads((folder / "committee.json").read_text())["committee"]["rule"] == "mean"
    assert verify(folder) == []
    done = run_process("fuse", "--committee", "tiny", cwd=fitted)
    assert done.code == 0, done.err
    assert json.loads((folder / "committee.json").read_text())["committee"]["rule"] == "mean"
    done = run_process("fuse", "--committee", "tiny", "--rule", "meen", cwd=fitted)
    assert done.code == 2
    assert "mean" in done.err
