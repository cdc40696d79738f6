from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from support import ROOT, TINY, Outcome

from backbones.errors import InputError
from pipelines.tracking import EXPERIMENT, Tracker, store_uri
from pipelines.workspace import Workspace

Cli = Callable[..., Outcome]
JSON = {"Content-Type": "application/json"}
ENV = {**os.environ, "PYTHONPATH": str(ROOT)}


def runs_of(uri: str) -> list[Any]:
    from mlflow import MlflowClient

    client = MlflowClient(tracking_uri=uri)
    experiment = client.get_experiment_by_name(EXPERIMENT)
    assert experiment is not None
    return list(client.search_runs([experiment.experiment_id]))


def test_a_parent_run_and_a_child_per_member(tiny: Path) -> None:
    found = runs_of(f"sqlite:///{tiny}/mlruns/mlflow.db")
    by_name = {run.info.run_name: run for run in found}
    assert set(by_name) == {"tiny", "plain", "residual"}
    assert {run.info.status for run in found} == {"FINISHED"}
    parent = by_name["tiny"]
    for name in ("plain", "residual"):
        run = by_name[name]
        assert run.data.tags["mlflow.parentRunId"] == parent.info.run_id
        assert run.data.params["backbone"] == "scratch_cnn"
        assert run.data.params["epochs"] == "3"
        assert {"validation/accuracy", "validation/nll", "parameters", "seconds"} <= set(run.data.metrics)
    assert {"validation/accuracy", "validation/nested_accuracy"} <= set(parent.data.metrics)
    assert {d.dataset.name for d in parent.inputs.dataset_inputs} == {"train", "validation"}


def test_epochs_figures_tables_and_bundle_are_logged(tiny: Path) -> None:
    from mlflow import MlflowClient

    uri = f"sqlite:///{tiny}/mlruns/mlflow.db"
    client = MlflowClient(tracking_uri=uri)
    run = next(r for r in runs_of(uri) if r.info.run_name == "plain")
    assert [m.step for m in client.get_metric_history(run.info.run_id, "epoch/train_loss")] == [1, 2, 3]
    paths = {
        a.path for folder in ("figures", "tables", "bundle") for a in client.list_artifacts(run.info.run_id, folder)
    }
    assert {"figures/confusion_matrix.png", "tables/predictions.json", "bundle/spec.json"} <= paths


def test_a_fit_continues_the_runs_of_an_interrupted_one(
    tmp_path: Path, cli: Cli, monkeypatch: pytest.MonkeyPatch
) -> None:
    from pipelines.fit_tracking import FitTracking

    Path("tiny.yaml").write_text(TINY)
    seen: list[int] = []
    original = FitTracking.epochs

    def interrupted(self: FitTracking, name: str, history: list[dict[str, float]]) -> None:
        original(self, name, history)
        seen.append(len(history))
        if len(seen) == 2:
            raise KeyboardInterrupt

    monkeypatch.setattr(FitTracking, "epochs", interrupted)
    outcome = cli("fit", "--members", "tiny.yaml", "--jobs", "1", "--quiet")
    assert outcome.code == 130
    assert "the same command resumes" in outcome.err
    uri = f"sqlite:///{tmp_path}/mlruns/mlflow.db"
    assert {run.info.status for run in runs_of(uri)} == {"KILLED"}
    first = {run.info.run_id for run in runs_of(uri)}
    monkeypatch.setattr(FitTracking, "epochs", original)
    assert cli("fit", "--members", "tiny.yaml", "--jobs", "1", "--quiet").code == 0
    found = runs_of(uri)
    assert len(found) == 3
    assert first <= {run.info.run_id for run in found}
    assert {run.info.status for run in found} == {"FINISHED"}
    from mlflow import MlflowClient

    plain = next(run for run in found if run.info.run_name == "plain")
    history = MlflowClient(tracking_uri=uri).get_metric_history(plain.info.run_id, "epoch/train_loss")
    assert [m.step for m in history] == [1, 2, 3]


def test_the_users_store_is_honoured(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path}/own.db")
    assert store_uri(Workspace()) == f"sqlite:///{tmp_path}/own.db"
    monkeypatch.delenv("MLFLOW_TRACKING_URI")
    assert store_uri(Workspace()) == f"sqlite:///{tmp_path}/mlruns/mlflow.db"


def test_an_old_file_store_gets_a_message(tmp_path: Path) -> None:
    (tmp_path / "mlruns" / "0").mkdir(parents=True)
    (tmp_path / "mlruns" / "0" / "meta.yaml").write_text("")
    with pytest.raises(InputError, match="mlflow migrate-filestore"):
        store_uri(Workspace())


def test_a_store_that_fails_is_one_note_and_no_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "ftp://nowhere/at/all")
    notes: list[str] = []
    tracker = Tracker(Workspace(), tmp_path, note=notes.append)
    tracker.open(name="x", digest="d", params={}, data=[])
    tracker.member("m", params={}, tags={})
    tracker.epochs("m", [{"epoch": 1, "train_loss": 1.0}])
    tracker.stop("FAILED")
    assert len(notes) == 1
    assert "the fit goes on without it" in notes[0]


def test_run_ids_of_another_plan_are_not_continued(tiny: Path) -> None:
    folder = tiny / "mlruns" / "committees" / "tiny"
    stored = json.loads((folder / "tracking.json").read_text())
    tracker = Tracker(Workspace(), folder, note=print)
    assert tracker._stored(stored["plan"]) == stored
    assert tracker._stored("another") is None


def test_the_ui_serves_the_runs(tiny: Path) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    url = f"http://127.0.0.1:{port}"
    command = [sys.executable, "-m", "pipelines.cli", "ui", "--port", str(port)]
    with subprocess.Popen(command, env=ENV, preexec_fn=_mind_ctrl_c) as server:
        try:
            body = json.dumps({"filter": f"name = '{EXPERIMENT}'", "max_results": 5}).encode()
            request = urllib.request.Request(f"{url}/api/2.0/mlflow/experiments/search", body, JSON)
            experiments = json.loads(answer(request, server))["experiments"]
            body = json.dumps({"experiment_ids": [experiments[0]["experiment_id"]]}).encode()
            request = urllib.request.Request(f"{url}/api/2.0/mlflow/runs/search", body, JSON)
            runs = json.loads(answer(request, server))["runs"]
            assert {run["info"]["run_name"] for run in runs} == {"tiny", "plain", "residual"}
            assert b"<html" in answer(urllib.request.Request(url), server)
        finally:
            server.send_signal(signal.SIGINT)
            try:
                server.wait(timeout=60)
            finally:
                server.kill()


def _mind_ctrl_c() -> None:
    """Tests that a shell runs in the background inherit that Ctrl-C is ignored."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


def answer(request: urllib.request.Request, server: subprocess.Popen[bytes]) -> bytes:
    """The body of the answer, as soon as the server gives one."""
    deadline = time.monotonic() + 120
    while True:
        try:
            with urllib.request.urlopen(request, timeout=30) as reply:
                return bytes(reply.read())
        except (urllib.error.URLError, ConnectionError):
            assert server.poll() is None, "the server has ended"
            assert time.monotonic() < deadline, "the server does not answer"
            time.sleep(0.5)


def test_ui_without_a_store_says_what_to_do(cli: Cli) -> None:
    outcome = cli("ui")
    assert outcome.code == 2
    assert "Run `ensemble fit` first" in outcome.err


def test_a_committee_is_loaded_from_its_run(tiny: Path, cli: Cli) -> None:
    found = {run.info.run_name: run.info.run_id for run in runs_of(f"sqlite:///{tiny}/mlruns/mlflow.db")}
    texts = []
    for committee in ("tiny", found["tiny"], f"runs:/{found['tiny']}"):
        outcome = cli("predict", "--committee", committee)
        assert outcome.code == 0, outcome.err
        texts.append(Path("predictions.csv").read_text())
    assert len(set(texts)) == 1
    assert "it is a member's" in cli("predict", "--committee", found["plain"]).err
    assert cli("predict", "--committee", "0" * 32).code == 2
