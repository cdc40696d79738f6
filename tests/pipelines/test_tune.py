"""A search for hyper-parameters, end to end, on a few synthetic faces."""

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

import pytest
from safetensors.torch import save_file
from support import ROOT, Outcome

from backbones.contract import InputShape
from backbones.registry import BACKBONES
from pipelines.plan import make_plan

Cli = Callable[..., Outcome]

MEMBERS = """
name: tiny
data: {source: synthetic, count: 210}
defaults: {epochs: 3, batch_size: 16, input: {size: 48, channels: 1}}
members:
  - name: plain
    backbone: {kind: scratch_cnn, blocks: [{filters: 4}, {filters: 8}]}
tune:
"""
CHOICES = """
  trials: 6
  metric: nll
  epochs: 2
  seed: 4
  search:
    optimizer.lr: {choices: [1.0e-7, 2.0e-3, 1.0e+30]}
"""
RANGES = """
  trials: 2
  search:
    optimizer.lr: {low: 1e-5, high: 1e-1, log: true}
    optimizer.weight_decay: {low: 1e-7, high: 1e-2, log: true}
    head.dropout: {low: 0.0, high: 0.6}
"""


def trials_of(folder: Path) -> list[dict[str, str]]:
    """The table of trials, without what differs between two runs."""
    with (folder / "trials.csv").open() as file:
        return [{key: value for key, value in row.items() if key != "seconds"} for row in csv.DictReader(file)]


def weights_of(folder: Path) -> list[str]:
    return sorted(path.parent.name for path in folder.rglob("*.safetensors"))


def test_it_finds_the_better_learning_rate_and_survives_a_diverging_one(tmp_path: Path, cli: Cli) -> None:
    Path("members.yaml").write_text(MEMBERS + CHOICES)
    outcome = cli("tune", "--no-track")
    assert outcome.code == 0, outcome.err
    folder = tmp_path / "mlruns" / "tune" / "tiny-plain"
    trials = trials_of(folder)
    assert {trial["optimizer.lr"] for trial in trials} == {"1e-07", "0.002", "1e+30"}
    for trial in trials:
        assert trial["state"] == ("failed" if trial["optimizer.lr"] == "1e+30" else "finished")
        assert ("finite training loss" in trial["reason"]) == (trial["state"] == "failed")
    first = next(number for number, trial in enumerate(trials) if trial["optimizer.lr"] == "0.002")
    assert f"trial {first} of 6" in (folder / "best.yaml").read_text()
    assert "lr: 0.002" in outcome.out
    assert "6 trials by nll, validation faces" in outcome.out
    assert weights_of(folder) == [f"trial-{first:03}"]
    assert (folder / "search.png").read_bytes().startswith(b"\x89PNG")
    equal = {trial["nll"] for trial in trials if trial["optimizer.lr"] == "0.002"}
    assert len(equal) == 1, "all trials train with the member's own seed"

    before = (folder / "study.db").read_bytes()
    again = cli("tune", "--no-track")
    assert "finished before, 6 trials" in again.err
    assert again.out == outcome.out
    assert trials_of(folder) == trials
    assert (folder / "study.db").read_bytes() == before
    assert cli("tune", "--no-track", "--trials", "7", "--quiet").code == 0
    assert trials_of(folder)[:6] == trials
    assert len(trials_of(folder)) == 7

    refused = cli("tune", "--no-track", "--folds", "2")
    assert refused.code == 2
    assert "data, folds differ. Choose another folder with `--out`, or remove this one." in refused.err


def test_killed_and_run_again_it_ends_with_the_same_trials_and_runs(
    tmp_path: Path, empty_store: Path, cli: Cli
) -> None:
    Path("mlruns").mkdir()
    shutil.copy(empty_store, "mlruns")
    Path("members.yaml").write_text(MEMBERS + RANGES)
    command = [sys.executable, "-m", "pipelines.cli", "tune", "--out", "parts"]
    env = {**os.environ, "PYTHONPATH": str(ROOT)}
    with subprocess.Popen(command, env=env, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True) as process:
        assert process.stderr is not None
        for line in process.stderr:
            if line.startswith("trial 1 (2/2): epoch 1/3"):
                break
        process.send_signal(signal.SIGKILL)
    outcome = cli("tune", "--out", "parts")
    assert outcome.code == 0, outcome.err
    assert "goes on after 1 trials" in outcome.err
    assert "trial 1 (2/2): epoch 1/3" not in outcome.err, "its checkpoint was not continued"
    check_runs(tmp_path, trials_of(Path("parts")))
    assert cli("tune", "--out", "parts", "--trials", "3", "--quiet").code == 0
    check_runs(tmp_path, trials_of(Path("parts")))

    assert cli("tune", "--out", "whole", "--trials", "3", "--no-track", "--quiet").code == 0
    assert trials_of(Path("parts")) == trials_of(Path("whole"))
    assert len(trials_of(Path("parts"))) == 3
    assert weights_of(Path("parts")) == weights_of(Path("whole"))


def check_runs(folder: Path, trials: list[dict[str, str]]) -> None:
    """One finished parent run and one finished child run per trial, with their numbers."""
    from mlflow import MlflowClient

    client = MlflowClient(tracking_uri=f"sqlite:///{folder}/mlruns/mlflow.db")
    experiment = client.get_experiment_by_name("ensemble")
    assert experiment is not None
    runs = {run.info.run_name: run for run in client.search_runs([experiment.experiment_id])}
    found = client.search_runs([experiment.experiment_id])
    assert len(found) == len(runs) == len(trials) + 1
    assert {run.info.status for run in found} == {"FINISHED"}
    parent = runs["parts"]
    assert parent.data.params["search/head.dropout"] == "0 … 0.6"
    assert parent.data.metrics["search/trials"] == len(trials)
    assert max(float(t["accuracy"]) for t in trials) == pytest.approx(parent.data.metrics["validation/accuracy"])
    artifacts = {artifact.path for artifact in client.list_artifacts(parent.info.run_id, "search")}
    assert artifacts == {"search/search.png", "search/trials.csv", "search/best.yaml"}
    for number, trial in enumerate(trials):
        run = runs[f"trial-{number:03}"]
        assert run.data.tags["mlflow.parentRunId"] == parent.info.run_id
        assert run.data.params["optimizer.lr"] == trial["optimizer.lr"]
        assert run.data.metrics["validation/nll"] == pytest.approx(float(trial["nll"]))
        assert run.data.metrics["train/accuracy"] == pytest.approx(float(trial["train_accuracy"]))
        steps = [m.step for m in client.get_metric_history(run.info.run_id, "epoch/validation_nll")]
        assert steps == [1, 2, 3]


def test_cross_validation_averages_the_folds(cli: Cli) -> None:
    from pipelines.tune import tune_member

    text = MEMBERS + RANGES.replace("trials: 2", "trials: 2\n  epochs: 1\n  faces: 90")
    Path("members.yaml").write_text(text)
    folder = tune_member(make_plan(Path("members.yaml"), tune={"folds": 3}), out="cv", track=False, quiet=True)
    for number, trial in enumerate(trials_of(folder)):
        scores: list[Any] = [
            json.loads((folder / f"trials/trial-{number:03}/fold-{fold}/score.json").read_text()) for fold in range(3)
        ]
        assert len({score["fingerprint"] for score in scores}) == 3
        for name in ("accuracy", "nll", "train_accuracy"):
            assert float(trial[name]) == pytest.approx(sum(score[name] for score in scores) / 3)
    assert weights_of(folder) == ["fold-0", "fold-1", "fold-2"]


def test_two_searches_in_one_folder_are_refused(cli: Cli) -> None:
    from pipelines.lock import locked

    Path("members.yaml").write_text(MEMBERS + RANGES)
    with locked(Path("out")):
        outcome = cli("tune", "--out", "out", "--no-track")
    assert outcome.code == 2
    assert "to be free" in outcome.err


@pytest.mark.parametrize(
    ("search", "said"),
    [
        ("backbone.blocks.0.stride: {choices: [1, 48]}", "block"),
        ("input.size: {low: 24, high: 30}, input.crop: {low: 26, high: 32}", "do not go together"),
    ],
)
def test_values_that_do_not_go_together_fail_their_trial_alone(search: str, said: str, cli: Cli) -> None:
    member = MEMBERS.replace("epochs: 3", "epochs: 1").replace("size: 48", "size: 24")
    Path("members.yaml").write_text(member + f"\n  trials: 6\n  search: {{{search}}}\n")
    outcome = cli("tune", "--no-track", "--out", "out")
    assert outcome.code == 0, outcome.err
    reasons = [trial["reason"] for trial in trials_of(Path("out"))]
    assert len(reasons) == 6
    assert 0 < sum(reason == "" for reason in reasons) < 6
    assert all(said in reason for reason in reasons if reason)
    assert "failed" in outcome.err
    assert "Traceback" not in outcome.err
    assert "finished before" in cli("tune", "--no-track", "--out", "out").err


def test_a_trial_that_cannot_be_built_ends_the_search_and_says_which(cli: Cli) -> None:
    search = "\n  search: {backbone.blocks.1.pool: {choices: [max]}, backbone.blocks.0.stride: {choices: [48]}}\n"
    Path("members.yaml").write_text(MEMBERS + search)
    outcome = cli("tune", "--no-track", "--quiet")
    assert outcome.code == 2
    assert "trial 0 (backbone.blocks.1.pool max, backbone.blocks.0.stride 48)" in outcome.err
    assert "Traceback" not in outcome.err


def test_a_damaged_weights_file_ends_the_search_and_leaves_the_trial_to_be_run(cli: Cli) -> None:
    Path("w.safetensors").write_bytes(b"no weights")
    member = MEMBERS.replace("{filters: 8}]}", "{filters: 8}]}\n    weights: {file: w.safetensors}")
    Path("members.yaml").write_text(member + "\n  trials: 2\n  search: {clip: {choices: [1.0]}}\n")
    outcome = cli("tune", "--no-track", "--out", "out")
    assert outcome.code == 2
    assert "w.safetensors" in outcome.err
    assert not Path("out/trials.csv").exists()


def test_weights_that_fit_some_values_fail_the_trials_of_the_others_alone(cli: Cli) -> None:
    blocks = [{"filters": 4}, {"filters": 8}]
    net = BACKBONES.build("scratch_cnn", InputShape(channels=1, size=48), blocks=blocks)
    save_file(net.state_dict(), "w.safetensors")
    member = MEMBERS.replace("{filters: 8}]}", "{filters: 8}]}\n    weights: {file: w.safetensors}")
    search = "backbone.blocks.1.filters: {choices: [8, 16]}"
    Path("members.yaml").write_text(
        member.replace("epochs: 3", "epochs: 1") + f"\n  trials: 6\n  search: {{{search}}}\n"
    )
    outcome = cli("tune", "--no-track", "--out", "out")
    assert outcome.code == 0, outcome.err
    trials = trials_of(Path("out"))
    assert {trial["backbone.blocks.1.filters"] for trial in trials} == {"8", "16"}
    assert all(("to fill at least" in t["reason"]) == (t["backbone.blocks.1.filters"] == "16") for t in trials)


def test_weights_that_fit_no_values_end_the_search_at_once(cli: Cli) -> None:
    net = BACKBONES.build("scratch_cnn", InputShape(channels=1, size=48), blocks=[{"filters": 5}])
    save_file(net.state_dict(), "w.safetensors")
    member = MEMBERS.replace("{filters: 8}]}", "{filters: 8}]}\n    weights: {file: w.safetensors}")
    Path("members.yaml").write_text(member + "\n  trials: 3\n  search: {optimizer.lr: {choices: [0.001]}}\n")
    outcome = cli("tune", "--no-track", "--out", "out")
    assert outcome.code == 2
    assert "trial 0" in outcome.err
    assert "to fill at least" in outcome.err
    assert "do not go together" not in outcome.err
