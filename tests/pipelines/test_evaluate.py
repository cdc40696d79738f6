"""The report of a committee, from the bank and from the networks, and the guard of the test split."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from support import Outcome

from ensemble.calibration import cross_calibrated
from ensemble.estimate import nested_probs
from ensemble.metric import nll
from ensemble.rule.temperature import scaled
from pipelines.bundle import read_committee
from pipelines.console import Console
from pipelines.evaluation import evaluation_markdown
from pipelines.looks import record_look
from pipelines.stored_posteriors import stored_posteriors
from pipelines.tracking_store import open_client
from pipelines.workspace import Workspace

Cli = Callable[..., Outcome]


def test_validation_is_read_from_the_bank_and_cross_fitted(tiny: Path, cli: Cli) -> None:
    done = cli("evaluate")
    assert done.code == 0, done.err
    place = tiny / "mlruns" / "committees" / "tiny" / "evaluation" / "validation"
    report = json.loads((place / "report.json").read_text())
    fit = json.loads((tiny / "mlruns" / "committees" / "tiny" / "report.json").read_text())
    assert report["committee"]["accuracy"] == pytest.approx(fit["rules"]["committee"]["nested_accuracy"])
    assert set(report["members"]) == {"plain", "residual"}
    assert sum(map(sum, report["confusion_matrix"])) == report["faces"]
    assert [row["class"] for row in report["class_scores"]] == report["classes"]
    assert {"confusion_matrix.png", "reliability.png", "report.md"} <= {p.name for p in place.iterdir()}
    assert (place / "reliability.png").read_bytes().startswith(b"\x89PNG")
    for heading in ("Scores", "Classes", "Confusion matrix", "Confidence"):
        assert heading in done.out
        assert f"## {heading}" in evaluation_markdown(report, title="t")


def test_the_networks_say_what_the_bank_says(tiny: Path, cli: Cli) -> None:
    for args in ((), ("--data", "synthetic", "--split", "validation")):
        done = cli("evaluate", *args)
        assert done.code == 0, done.err
    folder = tiny / "mlruns" / "committees" / "tiny" / "evaluation"
    bank = json.loads((folder / "validation" / "report.json").read_text())
    networks = json.loads((folder / "synthetic-validation" / "report.json").read_text())
    for name, scores in bank["members"].items():
        assert networks["members"][name]["nll"] == pytest.approx(scores["nll"], abs=1e-9)


def test_every_look_at_the_test_split_is_recorded(tiny: Path, cli: Cli) -> None:
    from mlflow import MlflowClient

    for _ in range(2):
        done = cli("evaluate", "--split", "test")
        assert done.code == 0, done.err
    folder = tiny / "mlruns" / "committees" / "tiny"
    looks = [json.loads(line) for line in (folder / "evaluation" / "looks.jsonl").read_text().splitlines()]
    assert [look["number"] for look in looks] == [1, 2]
    assert all(look["who"] and look["when"] and len(look["committee"]) == 64 for look in looks)
    client = MlflowClient(f"sqlite:///{tiny / 'mlruns' / 'mlflow.db'}")
    run = client.get_run(json.loads((folder / "tracking.json").read_text())["parent"])
    assert json.loads(run.data.tags["test_look_2"])["accuracy"] == looks[1]["accuracy"]
    assert run.data.metrics["test/accuracy"] == pytest.approx(looks[1]["accuracy"])


def test_a_look_that_did_not_reach_the_store_is_sent_with_the_next_one(tiny: Path, cli: Cli) -> None:
    from mlflow import MlflowClient

    folder = tiny / "mlruns" / "committees" / "tiny"
    store, away = tiny / "mlruns" / "mlflow.db", tiny / "mlruns" / "mlflow.db.away"
    store.rename(away)
    store.write_bytes(b"no database" * 100)
    done = cli("evaluate", "--split", "test")
    assert done.code == 0, done.err
    assert "not on an MLflow run yet" in done.err
    away.replace(store)
    assert cli("evaluate", "--split", "test").code == 0
    client = MlflowClient(f"sqlite:///{store}")
    run = json.loads((folder / "tracking.json").read_text())["parent"]
    assert {"test_look_1", "test_look_2"} <= set(client.get_run(run).data.tags)
    assert [metric.step for metric in client.get_metric_history(run, "test/accuracy")] == [1, 2]


def test_looks_taken_while_the_store_was_away_keep_apart_from_those_of_others(
    tiny: Path, cli: Cli, monkeypatch: pytest.MonkeyPatch
) -> None:
    from mlflow import MlflowClient

    def nobody() -> str:
        raise KeyError("getpwuid(): uid not found")

    monkeypatch.setattr("getpass.getuser", nobody)
    folder = tiny / "mlruns" / "committees" / "tiny"
    run = json.loads((folder / "tracking.json").read_text())["parent"]
    store, away = tiny / "mlruns" / "mlflow.db", tiny / "mlruns" / "mlflow.db.away"
    store.rename(away)
    store.write_bytes(b"no database" * 100)
    assert cli("evaluate", "--split", "test").code == 0
    away.replace(store)
    client = MlflowClient(f"sqlite:///{store}")
    client.set_tag(run, "test_look_1", json.dumps({"number": 1, "who": "somebody else"}))
    assert cli("evaluate", "--split", "test").code == 0
    looks = {
        tag: json.loads(text) for tag, text in client.get_run(run).data.tags.items() if tag.startswith("test_look_")
    }
    assert len(looks) == 3
    assert looks["test_look_1"]["who"] == "somebody else"
    assert all(looks[f"test_look_{number}"]["who"].startswith("uid ") for number in (2, 3))


def test_faces_other_than_those_of_the_fit_are_refused(tiny: Path, cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pipelines.fit_data.FitData.digest", "that of a source that was replaced")
    for args in (("--split", "test"), ("--tta", "4")):
        refused = cli("evaluate", *args)
        assert refused.code == 2
        assert (
            "Expected the faces that `mlruns/committees/tiny` was fitted on, but `synthetic` holds others"
            in refused.err
        )
    assert not (tiny / "mlruns" / "committees" / "tiny" / "evaluation").exists()


@pytest.mark.parametrize("command", ["predict", "explain", "verify"])
def test_no_command_takes_other_faces_for_those_of_the_fit(
    tiny: Path, cli: Cli, monkeypatch: pytest.MonkeyPatch, command: str
) -> None:
    monkeypatch.setattr("pipelines.fit_data.FitData.digest", "that of a source that was replaced")
    refused = cli(command)
    assert refused.code == 2
    assert "Expected the faces that `mlruns/committees/tiny` was fitted on" in refused.err


def test_looks_at_the_same_time_are_all_recorded(tiny: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def slowly(uri: str) -> Any:
        time.sleep(0.2)
        return open_client(uri)

    monkeypatch.setattr("pipelines.looks.open_client", slowly)
    folder = tiny / "mlruns" / "committees" / "tiny"
    report = {"committee_sha256": "0" * 64, "faces": 30, "views": 2, "committee": {"accuracy": 0.5}}

    def look(_: int) -> None:
        record_look(folder, None, report, Workspace(), Console(quiet=True))

    with ThreadPoolExecutor(3) as pool:
        list(pool.map(look, range(3)))
    looks = [json.loads(line) for line in (folder / "evaluation" / "looks.jsonl").read_text().splitlines()]
    assert [look["number"] for look in looks] == [1, 2, 3]


def test_a_look_at_other_faces_is_kept_apart(tiny: Path, cli: Cli) -> None:
    from mlflow import MlflowClient

    assert cli("evaluate", "--split", "test", "--data", "synthetic").code == 0
    folder = tiny / "mlruns" / "committees" / "tiny"
    assert json.loads((folder / "evaluation" / "looks.jsonl").read_text())["data"] == "synthetic"
    client = MlflowClient(f"sqlite:///{tiny / 'mlruns' / 'mlflow.db'}")
    metrics = client.get_run(json.loads((folder / "tracking.json").read_text())["parent"]).data.metrics
    assert "test/accuracy" not in metrics
    assert "other_test/accuracy" in metrics


def test_a_look_at_a_registered_model_is_on_the_run_that_made_it(tiny: Path, cli: Cli) -> None:
    from mlflow import MlflowClient

    folder = tiny / "mlruns" / "committees" / "tiny"
    run = json.loads((folder / "tracking.json").read_text())["parent"]
    for committee in ("tiny", "models:/ensemble-tiny/1", run):
        done = cli("evaluate", "--split", "test", "--committee", committee)
        assert done.code == 0, done.err
        assert "not on an MLflow run" not in done.err
    tags = MlflowClient(f"sqlite:///{tiny / 'mlruns' / 'mlflow.db'}").get_run(run).data.tags
    looks = [json.loads(tags[f"test_look_{number}"]) for number in (1, 2, 3)]
    assert len({(look["committee"], look["accuracy"]) for look in looks}) == 1


def test_a_registered_model_is_evaluated_and_not_fused(tiny: Path, cli: Cli) -> None:
    done = cli("evaluate", "--committee", "models:/ensemble-tiny@champion")
    assert done.code == 0, done.err
    refused = cli("fuse", "--committee", "models:/ensemble-tiny@champion")
    assert refused.code == 2
    assert "MLflow runs and models stay as they are" in refused.err


def test_more_views_of_the_fit_s_own_faces_are_calibrated_by_cross_fitting(
    tiny: Path, cli: Cli, monkeypatch: pytest.MonkeyPatch
) -> None:
    faces: list[int] = []

    def spy(probs: np.ndarray, labels: np.ndarray, **options: int) -> np.ndarray:
        faces.append(len(labels))
        return cross_calibrated(probs, labels, **options)

    monkeypatch.setattr("pipelines.evaluate.cross_calibrated", spy)
    for args, times in ((("--tta", "4"), 1), (("--data", "synthetic", "--split", "test"), 1)):
        done = cli("evaluate", *args)
        assert done.code == 0, done.err
        assert len(faces) == times  # other faces are scored at the stored temperature


def test_ablation_is_of_the_validation_split(tiny: Path, cli: Cli) -> None:
    refused = cli("evaluate", "--ablation", "--split", "train")
    assert refused.code == 2
    assert "Expected `--ablation` on the validation split only, but got `--split train`" in refused.err


def test_looking_leaves_the_committee_sealed(tiny: Path, cli: Cli) -> None:
    from pipelines.bundle import changed_files

    assert changed_files(tiny / "mlruns" / "committees" / "tiny") == []


def test_wrong_requests_are_refused(tiny: Path, cli: Cli) -> None:
    done = cli("evaluate", "--tta", "0")
    assert done.code == 2
    assert "Expected `--tta` to be at least 1, but got 0." in done.err
    done = cli("evaluate", "--committee", "tinny")
    assert done.code == 2
    assert "tiny" in done.err


def test_what_confidence_is_worth(tiny: Path, cli: Cli) -> None:
    done = cli("evaluate")
    folder = tiny / "mlruns" / "committees" / "tiny"
    place = folder / "evaluation" / "validation"
    report = json.loads((place / "report.json").read_text())
    bank = stored_posteriors(folder, ("plain", "residual"))
    nested = nested_probs(read_committee(folder).root.node, bank.posteriors, bank.labels)
    probs = cross_calibrated(nested, bank.labels)  # neither weights nor temperature have seen the face
    confidence, right = probs.max(axis=1), probs.argmax(axis=1) == bank.labels
    assert [row["threshold"] for row in report["coverage"]] == [0, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95]
    for row in report["coverage"]:
        kept = confidence >= row["threshold"]
        assert row["coverage"] == pytest.approx(kept.mean())
        assert row["accuracy"] == (pytest.approx(right[kept].mean()) if kept.any() else None)
    surest = np.argsort(-confidence)
    risks = [(~right[surest[:k]]).mean() for k in range(1, len(right) + 1)]
    assert report["aurc"] == pytest.approx(np.mean(risks))
    assert report["least_aurc"] <= report["aurc"]
    assert report["coverage_curve"][-1] == {"coverage": 1.0, "accuracy": pytest.approx(right.mean())}
    assert report["calibrated"]["nll"] == pytest.approx(nll(probs, bank.labels))
    assert report["temperature"] == json.loads((folder / "committee.json").read_text())["temperature"]
    assert f"At its temperature, {report['temperature']:.3f}: calibration error" in done.out
    assert f"Area under the risk-coverage curve {report['aurc']:.4f}" in (place / "report.md").read_text()
    assert (place / "coverage.png").read_bytes().startswith(b"\x89PNG")


def test_other_faces_are_scored_at_the_stored_temperature(tiny: Path, cli: Cli) -> None:
    folder = tiny / "mlruns" / "committees" / "tiny"
    done = cli("evaluate", "--data", "synthetic", "--split", "validation")
    assert done.code == 0, done.err
    report = json.loads((folder / "evaluation" / "synthetic-validation" / "report.json").read_text())
    committee, bank = read_committee(folder), stored_posteriors(folder, ("plain", "residual"))
    fused = committee(bank.posteriors)
    assert report["committee"]["nll"] == pytest.approx(nll(fused, bank.labels))
    assert report["calibrated"]["nll"] == pytest.approx(nll(scaled(fused, committee.temperature), bank.labels))
    assert report["calibrated"]["nll"] != pytest.approx(report["committee"]["nll"], abs=1e-6)


def test_what_was_looked_into_besides_has_tables(tiny: Path, cli: Cli) -> None:
    done = cli("evaluate", "--ablation")
    assert "The committee without a member" in done.out
    assert "Members added, the best first" in done.out
