from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from support import TINY

from backbones.errors import InputError
from pipelines.tracking_spool import SPOOL, Event, TrackingSpool


class Store:
    """A store that can be out of reach, or refuse a call."""

    def __init__(self) -> None:
        self.got: list[Event] = []
        self.error: Exception | None = None
        self.refused: dict[str, Exception] = {}

    def __call__(self, event: Event) -> None:
        if self.error is not None:
            raise self.error
        if event.call in self.refused:
            raise self.refused[event.call]
        self.got.append(event)

    @property
    def numbers(self) -> list[Any]:
        return [event.args.get("number") for event in self.got if event.call == "epoch"]


@pytest.fixture
def store() -> Store:
    return Store()


def spool_of(folder: Path, store: Store, notes: list[str], *, plan: str = "plan", pause: float = 0.0) -> TrackingSpool:
    return TrackingSpool(folder, plan=plan, deliver=store, note=notes.append, pause=pause)


def test_what_a_store_misses_is_kept_on_disk_and_sent_in_order(tmp_path: Path, store: Store) -> None:
    notes: list[str] = []
    spool = spool_of(tmp_path, store, notes)
    spool.open()
    spool.send("epoch", {"number": 1})
    store.error = ConnectionError("no route to host")
    spool.send("epoch", {"number": 2})
    spool.send("epoch", {"number": 3})
    head, *lines = (tmp_path / SPOOL).read_text().splitlines()
    assert json.loads(head) == {"plan": "plan"}
    assert [json.loads(line)["args"]["number"] for line in lines] == [2, 3]
    times = [json.loads(line)["at"] for line in lines]
    store.error = None
    spool.send("epoch", {"number": 4})
    assert store.numbers == [1, 2, 3, 4]
    assert [event.at for event in store.got][2:4] == times  # when it happened, not when it was sent
    assert not (tmp_path / SPOOL).exists()
    assert [note.split(":")[0] for note in notes] == [
        "tracking in MLflow failed, the fit goes on without it and sends it later", "MLflow answers again",
    ]  # fmt: skip


def test_a_store_that_fails_is_left_alone_for_a_while(tmp_path: Path, store: Store) -> None:
    spool = spool_of(tmp_path, store, [], pause=60.0)
    store.error = ConnectionError("no")
    spool.open()
    store.error = None
    spool.send("epoch", {"number": 1})
    assert store.got == []
    spool.close()  # the end is a reason to ask at once
    assert [event.call for event in store.got] == ["open", "epoch"]


def test_the_next_process_sends_what_waits(tmp_path: Path, store: Store) -> None:
    notes: list[str] = []
    first = spool_of(tmp_path, store, notes)
    first.open()
    store.error = TimeoutError("no")
    first.send("epoch", {"number": 1})
    first.send("stop", {"status": "KILLED"})
    first.close()
    assert notes[-1].startswith("2 entries for MLflow wait in")
    store.error = None
    spool_of(tmp_path, store, notes, plan="another").open()
    assert store.numbers == []
    first._write()
    spool_of(tmp_path, store, notes).open()
    assert [event.call for event in store.got] == ["open", "open", "open", "epoch"]  # how the first one ended is past


def test_a_refused_entry_is_told_once_and_holds_up_nothing(tmp_path: Path, store: Store) -> None:
    notes: list[str] = []
    spool = spool_of(tmp_path, store, notes)
    spool.open()
    store.refused["table"] = KeyError("member")
    for number in (1, 2):
        spool.send("table", {})
        spool.send("epoch", {"number": number})
    assert store.numbers == [1, 2]
    assert len(notes) == 1
    assert "refuses an entry (table)" in notes[0]


def test_a_store_that_refuses_to_open_ends_tracking(tmp_path: Path, store: Store) -> None:
    notes: list[str] = []
    store.refused["open"] = ValueError("no such kind of store")
    spool = spool_of(tmp_path, store, notes)
    spool.open()
    spool.send("epoch", {"number": 1})
    spool.close()
    assert store.got == []
    assert notes == ["tracking in MLflow failed, the fit goes on without it: no such kind of store"]
    assert not (tmp_path / SPOOL).exists()


def test_what_the_user_can_mend_is_told_before_the_fit(tmp_path: Path, store: Store) -> None:
    store.error = InputError("Expected no old store.")
    with pytest.raises(InputError, match="old store"):
        spool_of(tmp_path, store, []).open()


@pytest.mark.parametrize("text", ["", "{", "[]\n", '{"plan": "plan"}\n{"call": 1}\n', '{"plan": "plan"}\nnonsense'])
def test_a_damaged_file_is_forgotten(tmp_path: Path, store: Store, text: str) -> None:
    (tmp_path / SPOOL).write_text(text)
    spool_of(tmp_path, store, []).open()
    assert [event.call for event in store.got] == ["open"]


def test_a_fit_outlives_an_outage_and_the_runs_are_complete(
    tmp_path: Path, cli: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The store is away from the second epoch on until the end of the fit; the same command sends what is missing."""
    from pipelines.tracking_store import EXPERIMENT, open_client

    Path("tiny.yaml").write_text(TINY.replace("count: 210", "count: 70"))
    from mlflow.tracking import MlflowClient

    original, calls = MlflowClient.log_batch, [0]

    def away(self: Any, run: str, *args: Any, **kwargs: Any) -> None:
        calls[0] += any(metric.key == "epoch/lr" for metric in kwargs.get("metrics", ()))
        if calls[0] > 1:
            raise ConnectionError("the store is away")
        original(self, run, *args, **kwargs)

    monkeypatch.setattr(MlflowClient, "log_batch", away)
    outcome = cli("fit", "--members", "tiny.yaml", "--jobs", "1")
    assert outcome.code == 0, outcome.err
    assert outcome.err.count("sends it later") == 1
    spool = Path("mlruns/committees/tiny") / SPOOL
    assert spool.is_file()
    assert calls[0] < 4  # a store that is away is not asked for every epoch
    monkeypatch.setattr(MlflowClient, "log_batch", original)
    assert cli("fit", "--members", "tiny.yaml", "--jobs", "1").code == 0
    assert not spool.exists()
    client = open_client(f"sqlite:///{tmp_path}/mlruns/mlflow.db")
    runs = client.search_runs([client.get_experiment_by_name(EXPERIMENT).experiment_id])
    assert sorted((run.info.run_name, run.info.status) for run in runs) == [
        ("plain", "FINISHED"), ("residual", "FINISHED"), ("tiny", "FINISHED"),
    ]  # fmt: skip
    for run in runs:
        if run.info.run_name != "tiny":
            history = client.get_metric_history(run.info.run_id, "epoch/validation_nll")
            assert [point.step for point in history] == [1, 2, 3]
