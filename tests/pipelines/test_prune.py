"""Smaller committees out of finished ones."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from support import TINY, run_process

from backbones.errors import InputError
from pipelines.bundle import verify
from pipelines.predictor import Predictor
from pipelines.prune import prune_committee


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


def test_a_committee_is_never_lost_to_a_smaller_one(fitted: Path, tmp_path: Path) -> None:
    whole, other = tmp_path / "mine", tmp_path / "other"
    shutil.copytree(fitted / "mlruns" / "committees" / "tiny", whole)
    shutil.copytree(whole, other)
    with pytest.raises(InputError, match="Expected `--out` to be another folder than that of the committee, but got"):
        prune_committee(whole, count=1, out=tmp_path / "other" / ".." / "mine", quiet=True)
    for missing in (None, "manifest.json"):  # finished or not
        if missing:
            (other / missing).unlink()
        with pytest.raises(InputError, match=r"but another one lies there\. Name another folder with `--out`"):
            prune_committee(whole, count=1, out=other, quiet=True)
        assert sorted(path.name for path in (other / "members").iterdir()) == sorted(
            path.name for path in (whole / "members").iterdir()
        )
    assert verify(whole) == []
    smaller = prune_committee(whole, count=1, out=tmp_path / "smaller", quiet=True)
    with pytest.raises(InputError, match="but another one lies there"):
        prune_committee(fitted / "mlruns" / "committees" / "tiny", count=1, out=smaller, quiet=True)


def test_pruned_again_it_holds_nothing_of_before(fitted: Path, tmp_path: Path) -> None:
    whole = tmp_path / "mine"
    shutil.copytree(fitted / "mlruns" / "committees" / "tiny", whole)
    smaller = prune_committee(whole, count=1, quiet=True)
    (member,) = (smaller / "members").iterdir()
    (member / "folds" / "3").mkdir(parents=True)
    (member / "folds" / "3" / "weights.safetensors").write_text("of more copies")
    assert prune_committee(whole, count=1, quiet=True) == smaller
    assert not (member / "folds").exists()
    assert verify(smaller) == []
    assert len(Predictor.load(smaller).members) == 1


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
    assert "--rule: Expected a fusion rule, but got 'meen'. Did you mean `mean`?" in done.err
    assert "--rule.rule" not in done.err
