"""Smaller committees out of finished ones."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from support import Outcome

from backbones.errors import InputError
from pipelines.bundle import changed_files
from pipelines.predictor import Predictor
from pipelines.prune import prune_committee

Cli = Callable[..., Outcome]


def test_one_member_is_left_and_predicts(tiny: Path, cli: Cli) -> None:
    done = cli("fuse", "--prune", "1")
    assert done.code == 0, done.err
    assert "left out" in done.out
    committees = tiny / "mlruns" / "committees"
    smaller = Predictor.load(committees / "tiny-pruned")
    assert len(smaller.members) == 1
    assert changed_files(committees / "tiny-pruned") == []
    assert changed_files(committees / "tiny") == []
    whole = json.loads((committees / "tiny" / "report.json").read_text())
    assert len(whole["members"]) == 2


def test_a_committee_is_never_lost_to_a_smaller_one(tiny: Path, tmp_path: Path) -> None:
    whole, other = tmp_path / "mine", tmp_path / "other"
    shutil.copytree(tiny / "mlruns" / "committees" / "tiny", whole)
    shutil.copytree(whole, other)
    with pytest.raises(InputError, match="Expected `--out` to be another folder than that of the committee, but got"):
        prune_committee(whole, count=1, out=tmp_path / "other" / ".." / "mine", quiet=True)
    for missing in (None, "manifest.json"):  # finished or not
        if missing:
            (other / missing).unlink()
        with pytest.raises(InputError, match=r"but other files lie there\. Name another folder with `--out`"):
            prune_committee(whole, count=1, out=other, quiet=True)
        assert sorted(path.name for path in (other / "members").iterdir()) == sorted(
            path.name for path in (whole / "members").iterdir()
        )
    assert changed_files(whole) == []
    smaller = prune_committee(whole, count=1, out=tmp_path / "smaller", quiet=True)
    with pytest.raises(InputError, match="but other files lie there"):
        prune_committee(tiny / "mlruns" / "committees" / "tiny", count=1, out=smaller, quiet=True)


def test_pruned_again_it_holds_nothing_of_before(tiny: Path, tmp_path: Path) -> None:
    whole = tmp_path / "mine"
    shutil.copytree(tiny / "mlruns" / "committees" / "tiny", whole)
    smaller = prune_committee(whole, count=1, quiet=True)
    (member,) = (smaller / "members").iterdir()
    (member / "folds" / "3").mkdir(parents=True)
    (member / "folds" / "3" / "weights.safetensors").write_text("of more copies")
    assert prune_committee(whole, count=1, quiet=True) == smaller
    assert not (member / "folds").exists()
    assert changed_files(smaller) == []
    assert len(Predictor.load(smaller).members) == 1


def test_a_budget_is_measured_and_kept(tiny: Path, cli: Cli) -> None:
    done = cli("fuse", "--committee", "tiny", "--budget-ms", "1e6", "--out", "cheap")
    assert done.code == 0, done.err
    done = cli("fuse", "--committee", "tiny", "--budget-ms", "1e-9")
    assert done.code == 2
    assert "Expected room for at least one member, but got 1e-09." in done.err


def test_another_rule_takes_over_and_stays(tiny: Path, cli: Cli) -> None:
    done = cli("fuse", "--committee", "tiny", "--rule", "mean")
    assert done.code == 0, done.err
    assert "rule:" not in done.out
    folder = tiny / "mlruns" / "committees" / "tiny"
    assert json.loads((folder / "committee.json").read_text())["committee"]["rule"] == "mean"
    assert changed_files(folder) == []
    done = cli("fuse", "--committee", "tiny")
    assert done.code == 0, done.err
    assert json.loads((folder / "committee.json").read_text())["committee"]["rule"] == "mean"
    done = cli("fuse", "--committee", "tiny", "--rule", "meen")
    assert done.code == 2
    assert "--rule: Expected a fusion rule, but got 'meen'. Did you mean `mean`?" in done.err
    assert "--rule.rule" not in done.err
