from __future__ import annotations

import json
import os
import re
import shutil
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
from urllib.parse import unquote

import pytest
from support import ROOT, TINY, Outcome

from backbones.errors import InputError
from pipelines.revision import git_revision
from pipelines.tracking import EXPERIMENT, Tracker, store_uri
from pipelines.tracking_store import open_client
from pipelines.ui import find_pages
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


def by_name(uri: str) -> dict[str, Any]:
    found = runs_of(uri)
    named = {run.info.run_name: run for run in found}
    assert len(named) == len(found), "a run is there twice"
    return named


def client_of(folder: Path) -> Any:
    return open_client(f"sqlite:///{folder}/mlruns/mlflow.db")


def table(run: Any, path: str) -> Any:
    import pandas as pd

    return pd.read_json(Path(run.info.artifact_uri.removeprefix("file://")) / path, orient="split")


def test_a_parent_run_and_a_child_per_member(tiny: Path) -> None:
    runs = by_name(f"sqlite:///{tiny}/mlruns/mlflow.db")
    assert set(runs) == {"tiny", "plain", "residual"}
    assert {run.info.status for run in runs.values()} == {"FINISHED"}
    parent = runs["tiny"]
    for name in ("plain", "residual"):
        run = runs[name]
        assert run.data.tags["mlflow.parentRunId"] == parent.info.run_id
        assert run.data.params["backbone"] == "scratch_cnn"
        assert run.data.params["epochs"] == "3"
    for run in runs.values():
        assert {d.dataset.name for d in run.inputs.dataset_inputs} == {"train", "validation"}


def test_members_and_committee_have_the_same_metrics_under_the_same_names(tiny: Path) -> None:
    runs = by_name(f"sqlite:///{tiny}/mlruns/mlflow.db")
    shared = {f"validation/{key}" for key in ("accuracy", "macro_f1", "nll", "calibration_error")}
    shared |= {"fit/parameters", "fit/seconds"}
    for run in runs.values():
        assert shared <= set(run.data.metrics)
        assert all(name.count("/") == 1 for name in run.data.metrics)  # split/metric
    report = json.loads((tiny / "mlruns/committees/tiny/report.json").read_text())
    found, own = runs["tiny"].data.metrics, report["rules"]["committee"]
    # What a committee is compared with its members by is held out of the fit of its rules.
    assert found["validation/accuracy"] == found["validation/nested_accuracy"] == pytest.approx(own["nested_accuracy"])
    assert found["validation/nll"] == pytest.approx(own["nll"])
    assert found["validation/fitted_accuracy"] == pytest.approx(own["fitted_accuracy"])
    for member in report["members"]:
        metrics = runs[member["name"]].data.metrics
        assert metrics["validation/accuracy"] == pytest.approx(member["accuracy"])
        assert metrics["validation/nll"] == pytest.approx(member["nll"])
        assert metrics["fit/parameters"] == member["parameters"]


def test_what_members_are_told_apart_by_comes_first_on_the_compare_page(tiny: Path) -> None:
    runs = by_name(f"sqlite:///{tiny}/mlruns/mlflow.db")
    told_apart = ["backbone", "epochs", "head", "input", "loss", "lr", "seed", "weights"]
    for name in ("plain", "residual"):
        assert sorted(runs[name].data.params)[: len(told_apart)] == told_apart
        # The page takes the first metric that all runs have, in the order of the store.
        assert next(iter(runs[name].data.metrics)) == "validation/accuracy"
    assert runs["plain"].data.params["with/augment"] == "shift_flip"


def test_tags_say_what_a_run_is_and_where_it_comes_from(tiny: Path) -> None:
    runs = by_name(f"sqlite:///{tiny}/mlruns/mlflow.db")
    report = json.loads((tiny / "mlruns/committees/tiny/report.json").read_text())
    for name, run in runs.items():
        tags = run.data.tags
        assert tags["stage"] == ("committee" if name == "tiny" else "member")
        assert (tags["committee"], tags["status"]) == ("tiny", "finished")
        assert report["data"]["digest"].startswith(tags["data_digest"])
        assert tags.get("mlflow.source.git.commit") == git_revision(ROOT)
        assert tags["mlflow.source.name"] == "ensemble fit"
    assert runs["residual"].data.tags["groups"] == "scratch,averaged"


def test_figures_and_tables_have_equal_paths_on_all_runs(tiny: Path) -> None:
    client, runs = client_of(tiny), by_name(f"sqlite:///{tiny}/mlruns/mlflow.db")
    for run in runs.values():
        paths = {
            artifact.path
            for folder in ("figures", "thumbnails", "tables")
            for artifact in client.list_artifacts(run.info.run_id, folder)
        }
        pictures = {"confusion_matrix.png", "reliability.png", "learning_curves.png"}
        assert paths >= {f"{folder}/{name}" for folder in ("figures", "thumbnails") for name in pictures}
        assert paths >= {"tables/per_class.json", "tables/predictions.json"}
    more = {artifact.path for artifact in client.list_artifacts(runs["tiny"].info.run_id, "tables")}
    assert more >= {"tables/members.json", "tables/leaderboard.json"}
    own = {artifact.path for artifact in client.list_artifacts(runs["plain"].info.run_id, "member")}
    assert own == {"member/history.json", "member/posteriors.npz", "member/spec.json"}  # the weights are in the model


def test_tables_hold_what_was_measured(tiny: Path) -> None:
    runs = by_name(f"sqlite:///{tiny}/mlruns/mlflow.db")
    parent = runs["tiny"]
    members = table(parent, "tables/members.json")
    assert set(members["run"]) == {runs["plain"].info.run_id, runs["residual"].info.run_id}
    board = table(parent, "tables/leaderboard.json")
    assert {"plain", "residual", "committee", "mean"} <= set(board["name"])
    assert board["accuracy"].is_monotonic_decreasing
    for run in runs.values():
        assert {"path": "tables/predictions.json", "type": "table"} in json.loads(
            run.data.tags["mlflow.loggedArtifacts"]
        )
        found = table(run, "tables/predictions.json")
        assert (found["label"] == found["true_label"]).mean() == pytest.approx(run.data.metrics["validation/accuracy"])
        classes = table(run, "tables/per_class.json")
        assert classes["faces"].sum() == len(found)


def test_descriptions_show_thumbnails_that_exist(tiny: Path) -> None:
    client, runs = client_of(tiny), by_name(f"sqlite:///{tiny}/mlruns/mlflow.db")
    for name, run in runs.items():
        text = run.data.tags["mlflow.note.content"]
        assert f"`{name}`" in text
        assert len(text) < 8000  # characters that a tag may have
        shown = re.findall(r"get-artifact\?path=([^&]+)&run_uuid=([0-9a-f]+)", text)
        assert len(shown) == (10 if name == "tiny" else 6)  # a picture and where it leads
        for path, owner in shown:
            folder, _, file = unquote(path).partition("/")
            assert f"{folder}/{file}" in {artifact.path for artifact in client.list_artifacts(owner, folder)}
    assert f"{runs['tiny'].data.metrics['validation/accuracy']:.4f}" in runs["tiny"].data.tags["mlflow.note.content"]


def test_learning_curves_have_a_point_per_epoch(tiny: Path) -> None:
    client, runs = client_of(tiny), by_name(f"sqlite:///{tiny}/mlruns/mlflow.db")
    for name in ("plain", "residual"):
        history = json.loads((tiny / f"mlruns/committees/tiny/members/{name}/history.json").read_text())
        points = client.get_metric_history(runs[name].info.run_id, "epoch/validation_nll")
        assert [point.step for point in points] == [1, 2, 3]
        assert [point.value for point in points] == pytest.approx([record["validation_nll"] for record in history])


def test_a_fit_continues_the_runs_of_an_interrupted_one(
    tmp_path: Path, cli: Cli, monkeypatch: pytest.MonkeyPatch
) -> None:
    from pipelines.fit_tracking import FitTracking

    Path("tiny.yaml").write_text(TINY.replace("count: 210", "count: 70"))
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
    assert {run.data.tags["status"] for run in runs_of(uri)} == {"killed"}
    first = {run.info.run_id for run in runs_of(uri)}
    monkeypatch.setattr(FitTracking, "epochs", original)
    monkeypatch.setenv("MLFLOW_SYSTEM_METRICS_SAMPLING_INTERVAL", "0.2")
    assert cli("fit", "--members", "tiny.yaml", "--jobs", "1", "--quiet", "--system-metrics").code == 0
    found = runs_of(uri)
    assert len(found) == 3
    parent = next(run for run in found if run.data.tags["stage"] == "committee")
    assert "system/cpu_utilization_percentage" in parent.data.metrics
    assert first <= {run.info.run_id for run in found}
    assert {run.info.status for run in found} == {"FINISHED"}
    from mlflow import MlflowClient

    plain = next(run for run in found if run.info.run_name == "plain")
    history = MlflowClient(tracking_uri=uri).get_metric_history(plain.info.run_id, "epoch/train_loss")
    assert [m.step for m in history] == [1, 2, 3]
    assert {run.data.tags["status"] for run in found} == {"finished"}


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


def test_a_finished_fit_run_again_leaves_runs_and_models_alone(tiny: Path, cli: Cli) -> None:
    uri = f"sqlite:///{tiny}/mlruns/mlflow.db"
    before = {run.info.run_id: run.info.end_time for run in runs_of(uri)}
    assert cli("fit", "--members", "tiny.yaml", "--jobs", "1", "--quiet").code == 0
    assert {run.info.run_id: run.info.end_time for run in runs_of(uri)} == before
    assert len(open_client(uri).search_model_versions("name = 'ensemble-tiny'")) == 1


def test_a_run_whose_id_got_lost_is_found_again(tiny: Path, cli: Cli) -> None:
    """Killed between the creation of a run and the note of its id."""
    uri, path = f"sqlite:///{tiny}/mlruns/mlflow.db", tiny / "mlruns/committees/tiny/tracking.json"
    before, stored = {run.info.run_id for run in runs_of(uri)}, json.loads(path.read_text())
    path.write_text(json.dumps({**stored, "parent": None, "members": {}}))
    assert cli("fit", "--members", "tiny.yaml", "--jobs", "1", "--quiet").code == 0
    assert {run.info.run_id for run in runs_of(uri)} == before
    assert json.loads(path.read_text()) == stored


def test_two_fits_at_once_one_of_them_killed(
    tmp_path: Path, empty_store: Path, cli: Cli, monkeypatch: pytest.MonkeyPatch
) -> None:
    from pipelines.fit_tracking import FitTracking

    Path("mlruns").mkdir()
    shutil.copy(empty_store, "mlruns")
    text = TINY.replace("count: 210", "count: 70")
    for name, epochs in (("one", 20), ("two", 1)):
        own = text.replace("name: tiny", f"name: {name}").replace("epochs: 3", f"epochs: {epochs}")
        Path(f"{name}.yaml").write_text(own)
    uri = f"sqlite:///{tmp_path}/mlruns/mlflow.db"
    command = [sys.executable, "-m", "pipelines.cli", "fit", "--members", "one.yaml", "--jobs", "1"]
    with subprocess.Popen(command, env=ENV, stderr=subprocess.PIPE, text=True) as one:
        try:
            assert one.stderr is not None
            assert any("epoch 1/" in line for line in one.stderr)
            original = FitTracking.epochs

            def kill_the_other(self: FitTracking, name: str, history: list[dict[str, float]], **more: str) -> None:
                original(self, name, history, **more)
                one.kill()
                one.wait()
                monkeypatch.setattr(FitTracking, "epochs", original)

            monkeypatch.setattr(FitTracking, "epochs", kill_the_other)
            assert cli("fit", "--members", "two.yaml", "--jobs", "1", "--quiet").code == 0
            assert one.returncode == -signal.SIGKILL  # and not done before
        finally:
            one.kill()
    runs = runs_of(uri)
    assert {r.info.status for r in runs if r.data.tags["committee"] == "two"} == {"FINISHED"}
    assert find_pages(uri).name == "two"  # `ensemble ui` looks after those that were killed
    killed = {r.info.run_id: r for r in runs_of(uri) if r.data.tags["committee"] == "one"}
    assert {(r.info.status, r.data.tags["status"]) for r in killed.values()} == {("KILLED", "killed")}
    assert cli("fit", "--members", "one.yaml", "--jobs", "1", "--quiet").code == 0
    found = runs_of(uri)
    assert sorted(r.info.run_name for r in found) == ["one", "plain", "plain", "residual", "residual", "two"]
    assert {(r.info.status, r.data.tags["status"]) for r in found} == {("FINISHED", "finished")}
    assert set(killed) <= {r.info.run_id for r in found}
    for name in ("one", "two"):
        assert len(open_client(uri).search_model_versions(f"name = 'ensemble-{name}'")) == 1


def test_a_store_that_refuses_is_one_note_and_no_end(tmp_path: Path, cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "ftp://nowhere/at/all")
    Path("tiny.yaml").write_text(TINY.replace("epochs: 3", "epochs: 1").replace("count: 210", "count: 70"))
    outcome = cli("fit", "--members", "tiny.yaml", "--jobs", "1")
    assert outcome.code == 0
    assert outcome.err.count("the fit goes on without it") == 1
    assert not (tmp_path / "mlruns/committees/tiny/tracking-spool.jsonl").exists()


def test_run_ids_of_another_plan_are_not_continued(tiny: Path) -> None:
    folder = tiny / "mlruns" / "committees" / "tiny"
    stored = json.loads((folder / "tracking.json").read_text())
    tracker = Tracker(Workspace(), folder, source="test")
    assert tracker.stored(stored["plan"]) == stored
    assert tracker.stored("another") is None


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
    model = "models:/ensemble-tiny"
    for committee in ("tiny", found["tiny"], f"runs:/{found['tiny']}", f"{model}@champion", f"{model}/1"):
        outcome = cli("predict", "--committee", committee)
        assert outcome.code == 0, outcome.err
        texts.append(Path("predictions.csv").read_text())
    assert len(set(texts)) == 1
    assert "it is a member's" in cli("predict", "--committee", found["plain"]).err
    for wrong in ("0" * 32, f"{model}/9", f"{model}@nobody", "models:/ensemble-unknown/1"):
        outcome = cli("predict", "--committee", wrong)
        assert outcome.code == 2
        assert "Expected `--committee` to be a run or a model of" in outcome.err
