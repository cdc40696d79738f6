"""Members trained in folds in committees: fitted, fused, pruned, evaluated, predicted with and lent."""

from __future__ import annotations

import csv
import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from support import ROOT, Outcome

import pipelines
from ensemble.bank import load_posteriors, save_posteriors
from ensemble.committee import Committee
from ensemble.committee_spec import resolve_committee
from ensemble.metric import accuracy, nll
from pipelines.bundle import changed_files, read_committee, unseal
from pipelines.cost import member_cost
from pipelines.face_loading import load_faces
from pipelines.stored_posteriors import stored_posteriors

Cli = Callable[..., Outcome]

FOLDED = """
name: folded
data: {source: synthetic, count: 210}
views: 2
defaults: {epochs: 2, batch_size: 32, input: {size: 24}, folds: 3}
members:
  - {name: net, groups: [scratch], backbone: {kind: scratch_cnn, blocks: [{filters: 4}], pooling: average}}
  - name: svm
    groups: [fixed]
    backbone: {kind: pixels}
    head: {kind: linear_svm}
    input: {size: 16, normalize: equalize}
committee: {rule: log_likelihood, over: [{rule: va_expo, members: [scratch, fixed]}, svm]}
"""
MIXED = FOLDED.replace("name: folded", "name: mixed").replace("pooling: average}}", "pooling: average}, folds: null}")
BASIS = "fitted on 171 out-of-fold training faces, judged on 18 validation faces"


@pytest.fixture(scope="module")
def fitted(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A working directory with the committees `folded`, whose members all have folds, and `mixed`."""
    folder, before = tmp_path_factory.mktemp("folds"), Path.cwd()
    os.chdir(folder)
    try:
        Path("mixed.yaml").write_text(MIXED)
        pipelines.fit("mixed.yaml", jobs=1, track=False, quiet=True)
        Path("folded.yaml").write_text(FOLDED)
        pipelines.fit("folded.yaml", jobs=1, quiet=True)
    finally:
        os.chdir(before)
    return folder


@pytest.fixture
def work(fitted: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of it, as the working directory."""
    shutil.copytree(fitted, tmp_path / "work")
    monkeypatch.chdir(tmp_path / "work")
    return tmp_path / "work"


def banks(folder: Path) -> tuple[dict[str, Any], dict[str, Any], np.ndarray, np.ndarray]:
    """Fused out-of-fold and validation posteriors by member, and both splits' labels, straight from the files."""
    splits = {name: load_posteriors(folder / "members" / name / "posteriors.npz").splits for name in ("net", "svm")}
    unseen, validation = (
        {name: own[split].probs.mean(axis=0) for name, own in splits.items()} for split in ("train", "validation")
    )
    return unseen, validation, splits["net"]["train"].labels, splits["net"]["validation"].labels


def test_a_pack_keeps_what_its_rules_are_fitted_on(work: Path, cli: Cli) -> None:
    outcome = cli("pack", "folded", "--out", "small")
    assert outcome.code == 0, outcome.err
    assert json.loads(Path("small/report.json").read_text())["basis"] == BASIS
    folder = work / "mlruns/committees/folded"
    validation = banks(folder)[1]
    np.testing.assert_allclose(read_committee(Path("small"))(validation), read_committee(folder)(validation), atol=1e-6)


def test_rules_are_fitted_on_out_of_fold_faces_and_judged_on_validation_faces(work: Path) -> None:
    folder = work / "mlruns/committees/folded"
    unseen, validation, seen_labels, labels = banks(folder)
    assert len(seen_labels) == 171
    report = json.loads((folder / "report.json").read_text())
    assert report["basis"] == BASIS
    assert f"Rules are {BASIS}." in (folder / "report.md").read_text()
    stored = read_committee(folder)
    direct = Committee.fit(stored.root.node, unseen, seen_labels)
    np.testing.assert_allclose(stored(validation), direct(validation), atol=1e-9)
    crossed = Committee.fit(stored.root.node, validation, labels)
    assert not np.allclose(stored(validation), crossed(validation), atol=1e-5), "validation labels have no say"
    flat: dict[str, tuple[str, ...]] = {"net": (), "svm": ()}
    trees = {"committee": stored.root.node} | {
        rule: resolve_committee({"rule": rule}, flat) for rule in ("va_expo", "log_likelihood", "stacking", "mean")
    }
    for name, node in trees.items():
        committee, row = Committee.fit(node, unseen, seen_labels), report["rules"][name]
        assert row["fitted_accuracy"] == accuracy(committee(unseen), seen_labels)
        assert row["nested_accuracy"] == accuracy(committee(validation), labels)
        assert row["nll"] == pytest.approx(nll(committee(validation), labels))
        assert (row["fit_faces"], row["faces"]) == (171, 18)
    own = accuracy(validation["svm"], labels)
    assert next(m["accuracy"] for m in report["members"] if m["name"] == "svm") == own


def test_evaluate_scores_the_committee_on_faces_it_was_not_fitted_on(work: Path, cli: Cli) -> None:
    _, validation, _, labels = banks(work / "mlruns/committees/folded")
    committee = read_committee(work / "mlruns/committees/folded")
    outcome = cli("evaluate", "--committee", "folded", "--ablation")
    assert outcome.code == 0, outcome.err
    assert f"Its rules are {BASIS}." in outcome.out
    report = json.loads(Path("mlruns/committees/folded/evaluation/validation/report.json").read_text())
    assert report["committee"]["nll"] == pytest.approx(nll(committee(validation), labels))
    assert report["added"][-1]["nll"] == pytest.approx(report["committee"]["nll"])
    outcome = cli("evaluate", "--committee", "folded", "--tta", "1")
    assert outcome.code == 0, outcome.err
    single = {
        name: load_posteriors(f"mlruns/committees/folded/members/{name}/posteriors.npz").splits["validation"].probs[0]
        for name in ("net", "svm")
    }
    report = json.loads(Path("mlruns/committees/folded/evaluation/validation/report.json").read_text())
    assert report["committee"]["nll"] == pytest.approx(nll(committee(single), labels))


def test_a_mixed_committee_is_fitted_on_validation_faces_with_a_note(work: Path, cli: Cli) -> None:
    folder = work / "mlruns/committees/mixed"
    outcome = cli("fit", "--members", "mixed.yaml", "--jobs", "1", "--no-track")
    assert outcome.code == 0, outcome.err
    assert outcome.err.count("rules are fitted on the validation faces") == 1
    assert "out-of-fold posteriors of the same training faces: net has none" in outcome.err
    assert "Committee mixed: 18 validation faces" in outcome.out
    report = json.loads((folder / "report.json").read_text())
    assert report["basis"] == "fitted on 18 validation faces, judged on the same by cross-fitting"
    posteriors = stored_posteriors(folder, ("net", "svm"))
    assert (posteriors.out_of_fold, posteriors.without_folds) == (None, ("net",))
    direct = Committee.fit(read_committee(folder).root.node, posteriors.posteriors, posteriors.labels)
    assert read_committee(folder).to_json()["committee"] == direct.to_json()["committee"]
    # What is left of it once the member without folds has gone is fitted out of fold.
    outcome = cli("fuse", "--committee", "mixed", "--prune", "1")
    assert outcome.code == 0, outcome.err
    left = json.loads((work / "mlruns/committees/mixed-pruned/report.json").read_text())
    assert (left["basis"] == BASIS) == ([m["name"] for m in left["members"]] == ["svm"])


def test_a_committee_without_folds_gets_no_note(work: Path, cli: Cli) -> None:
    Path("plain.yaml").write_text(FOLDED.replace(", folds: 3", "").replace("name: folded", "name: plain"))
    outcome = cli("fit", "--members", "plain.yaml", "--jobs", "1", "--no-track")
    assert outcome.code == 0, outcome.err
    assert "rules are fitted" not in outcome.err


def test_out_of_fold_posteriors_of_other_faces_do_not_count(work: Path) -> None:
    folder = work / "mlruns/committees/folded"
    path = folder / "members/svm/posteriors.npz"
    splits = load_posteriors(path).splits
    save_posteriors(
        path, classes=load_posteriors(path).classes,
        ids={name: split.ids[:-1] if name == "train" else split.ids for name, split in splits.items()},
        probs={name: split.probs[:, :-1] if name == "train" else split.probs for name, split in splits.items()},
        labels={name: split.labels[:-1] if name == "train" else split.labels for name, split in splits.items()},  # type: ignore[index]
    )  # fmt: skip
    unseal(folder)  # as while a fit is at work: nothing is checked
    posteriors = stored_posteriors(folder, ("net", "svm"))
    assert (posteriors.out_of_fold, posteriors.without_folds) == (None, ("svm",))


def test_fuse_gives_the_same_committee_again_without_torch(work: Path, cli: Cli) -> None:
    folder = work / "mlruns/committees/folded"
    before = (folder / "committee.json").read_bytes()
    code = (
        "import sys\nfrom pipelines.fuse import fuse_committee\nfuse_committee('folded')\n"
        "print('HEAVY', [m for m in ('torch', 'sklearn', 'mlflow', 'pandas') if m in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=work, env={**os.environ, "PYTHONPATH": str(ROOT)}, capture_output=True,
        text=True, check=True,
    )  # fmt: skip
    assert "HEAVY []" in done.stdout
    assert f"Committee folded: {BASIS}" in done.stdout
    assert (folder / "committee.json").read_bytes() == before
    outcome = cli("fuse", "--committee", "folded", "--rule", "va_simple")
    assert outcome.code == 0, outcome.err
    unseen, _, labels, _ = banks(folder)
    learned = json.loads((folder / "committee.json").read_text())["committee"]["learned"]
    assert learned["accuracies"] == {name: accuracy(probs, labels) for name, probs in unseen.items()}


def test_the_smaller_committee_has_the_copies(work: Path, cli: Cli) -> None:
    outcome = cli("fuse", "--committee", "folded", "--prune", "1")
    assert outcome.code == 0, outcome.err
    assert BASIS in outcome.out
    folder = work / "mlruns/committees/folded-pruned"
    assert changed_files(folder) == []
    (name,) = [path.name for path in (folder / "members").iterdir()]
    assert f"members/{name}/folds/2/weights.safetensors" in json.loads((folder / "manifest.json").read_text())["files"]
    outcome = cli("predict", "--committee", "folded-pruned")
    assert outcome.code == 0, outcome.err
    assert member_cost(folder / "members" / name, device="cpu") > 0


def test_predictions_are_of_the_mean_of_the_copies(work: Path, cli: Cli) -> None:
    folder = work / "mlruns/committees/folded"
    assert changed_files(folder) == []
    _, validation, _, _ = banks(folder)
    outcome = cli("predict", "--committee", "folded", "--tta", "2")
    assert outcome.code == 0, outcome.err
    with Path("predictions.csv").open() as file:
        rows = list(csv.DictReader(file))
    expected = read_committee(folder)(validation)
    np.testing.assert_allclose([[float(row[f"p_{c}"]) for c in read_committee(folder).classes] for row in rows],
                               expected, atol=1e-5)  # fmt: skip
    faces = load_faces("synthetic", options={"count": 210}, cache=Path("mlruns/cache")).split("validation")
    predictions = pipelines.load("folded").predict(np.array(faces.images), ids=faces.ids.tolist(), tta=2)
    np.testing.assert_allclose(predictions.probs, expected, atol=1e-12)


def test_runs_in_mlflow(work: Path) -> None:
    from mlflow import MlflowClient

    client = MlflowClient(f"sqlite:///{work}/mlruns/mlflow.db")
    runs = {run.info.run_name: run for run in client.search_runs(["1"])}
    assert set(runs) == {"folded", "net", "svm"}
    net = runs["net"]
    assert net.data.params["with/folds"] == "3"
    content = json.loads((work / "mlruns/committees/folded/members/net/spec.json").read_text())
    assert net.data.metrics["out_of_fold/accuracy"] == content["out_of_fold_accuracy"]
    assert net.data.metrics["out_of_fold/nll"] == pytest.approx(content["out_of_fold_nll"])
    history = json.loads((work / "mlruns/committees/folded/members/net/history.json").read_text())
    for section, steps in (("epoch", [1, 2]), ("copies", [1, 2, 3, 4, 5, 6])):
        assert [m.step for m in client.get_metric_history(net.info.run_id, f"{section}/train_loss")] == steps
    losses = [m.value for m in client.get_metric_history(net.info.run_id, "epoch/train_loss")]
    assert losses == pytest.approx([record["train_loss"] for record in history])
    copies = [m.value for m in client.get_metric_history(net.info.run_id, "copies/train_loss")]
    assert np.mean(copies[1::2]) == pytest.approx(losses[1])
    assert "member/folds" in {a.path for a in client.list_artifacts(net.info.run_id, "member")}


def test_a_finished_fit_is_not_touched_again_and_says_whose_copies_train(work: Path, cli: Cli) -> None:
    members = work / "mlruns/committees/folded/members"
    before = {path: path.stat().st_mtime_ns for path in members.rglob("*") if path.is_file()}
    outcome = cli("fit", "--members", "folded.yaml", "--jobs", "1", "--no-track")
    assert outcome.code == 0, outcome.err
    assert outcome.err.count("finished before, kept") == 2
    assert {path: path.stat().st_mtime_ns for path in members.rglob("*") if path.is_file()} == before
    Path("folded.yaml").write_text(FOLDED.replace("epochs: 2", "epochs: 1"))
    outcome = cli("fit", "--members", "folded.yaml", "--jobs", "1", "--no-track")
    assert "net, copy 2 of 3: epoch 1/1" in outcome.err


def test_a_killed_fit_ends_with_the_same_bytes(work: Path, cli: Cli) -> None:
    """Killed for real, in the middle of the second copy."""
    Path("killed.yaml").write_text(FOLDED.partition("  - name: svm")[0].replace("epochs: 2", "epochs: 30"))
    fit = ("fit", "--members", "killed.yaml", "--no-track", "--jobs", "1", "--out")
    done = cli(*fit, "whole")
    assert done.code == 0, done.err
    env = {**os.environ, "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-m", "pipelines.cli", *fit, "parts"]
    with subprocess.Popen(command, env=env, stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        while "copy 2 of 3: epoch 1/30" not in process.stderr.readline():
            assert process.poll() is None
        process.send_signal(signal.SIGKILL)
    assert (work / "parts/members/net/folds/0/spec.json").exists()
    assert not (work / "parts/members/net/folds/1/spec.json").exists()
    done = cli(*fit, "parts")
    assert done.code == 0, done.err

    def contents(name: str) -> dict[str, bytes]:
        paths = [p for end in ("npz", "safetensors") for p in (work / name).rglob(f"*.{end}")]
        return {str(p.relative_to(work / name)): p.read_bytes() for p in [*paths, work / name / "committee.json"]}

    assert len(contents("whole")) == 9  # 8 of the copies and what is put together from them, and the held-out answers
    assert contents("parts") == contents("whole")


def test_members_check_says_folds(work: Path, cli: Cli) -> None:
    outcome = cli("members", "check", "folded.yaml")
    assert outcome.code == 0, outcome.err
    assert "scratch_cnn, 3 folds" in outcome.out


def test_only_a_copy_can_be_lent(work: Path, cli: Cli) -> None:
    yaml = (
        "data: {{source: synthetic, count: 210}}\nmembers: [{{name: a, committee: {{folder: folded, member: {}}}}}]\n"
    )
    Path("whole.yaml").write_text(yaml.format("net"))
    outcome = cli("fit", "--members", "whole.yaml", "--no-track")
    assert outcome.code == 2
    assert "was trained in 3 folds. Name one of its copies: `member: net/folds/0`." in outcome.err
    Path("copy.yaml").write_text(yaml.format("net/folds/1"))
    outcome = cli("fit", "--members", "copy.yaml", "--jobs", "1", "--no-track")
    assert outcome.code == 0, outcome.err
    weights = [
        Path(f"mlruns/committees/{place}/weights.safetensors").read_bytes()
        for place in ("copy/members/a", "folded/members/net/folds/1")
    ]
    assert weights[0] == weights[1]


def test_a_search_leaves_folds_to_the_fit(work: Path, cli: Cli) -> None:
    rate = "optimizer.lr: {low: 1e-4, high: 1e-2, log: true}"
    tune = f"tune:\n  member: net\n  trials: 1\n  epochs: 1\n  search: {{{rate}}}\n"
    Path("tuned.yaml").write_text(FOLDED + tune)
    outcome = cli("tune", "--members", "tuned.yaml", "--no-track")
    assert outcome.code == 0, outcome.err
    assert "net: its `folds` are left to the fit; a trial trains one network" in outcome.err
    Path("tuned.yaml").write_text(FOLDED + tune.replace(rate, "folds: {low: 2, high: 5}"))
    outcome = cli("tune", "--members", "tuned.yaml", "--no-track")
    assert outcome.code == 2
    assert "tune.search.folds: Expected a setting of the training" in outcome.err
