"""Writes down every look at the test split: who, when, with which committee; in its folder and on its MLflow run."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from backbones.errors import reason_of
from pipelines.atomic import write_text
from pipelines.console import Console
from pipelines.lock import locked
from pipelines.run_tags import user_name
from pipelines.tracking import RUNS
from pipelines.tracking_store import open_client, store_uri
from pipelines.workspace import Workspace

__all__ = ["LOOKS", "record_look"]

LOOKS = "looks.jsonl"
_TAG = "test_look_"


def record_look(
    folder: Path,
    committee: str | Path | None,
    report: Mapping[str, Any],
    workspace: Workspace,
    console: Console,
    *,
    data: str | None = None,
) -> None:
    """Write down a look, before its result is shown.

    What a tracking server that is away misses is sent with the next look.

    Args:
        folder: The committee's folder.
        committee: How it was named: by a run or a model it is that run's.
        report: The report of the look.
        workspace: Where the default store lies.
        console: Told of the look, and if it is not on a run.
        data: The source looked at, if it is not what the committee was fitted on.
    """
    path = folder / "evaluation" / LOOKS
    with locked(path.parent, wait=True):  # of two looks at the same time each is to find the other's line
        looks = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()] if path.is_file() else []
        store = _Store(folder, committee, workspace, console.note)
        look = {
            "number": 1 + max([0, *(look["number"] for look in looks), *store.looks]),
            "when": datetime.now(UTC).isoformat(timespec="seconds"),
            "who": user_name() or f"uid {os.getuid()}",
            "committee": report["committee_sha256"],
            **({} if data is None else {"data": Path(data).name}),
            "faces": report["faces"],
            "views": report["views"],
            "accuracy": report["committee"]["accuracy"],
        }
        looks.append(look)
        write_text(path, "".join(f"{json.dumps(one)}\n" for one in looks))
        store.send(looks)
    console.note(f"look {look['number']} at the test split, recorded in {path}")


class _Store:
    """The looks on a committee's run; where there is no run, or the store fails, one note says so."""

    def __init__(
        self, folder: Path, committee: str | Path | None, workspace: Workspace, note: Callable[[str], None]
    ) -> None:
        self.note = note
        self.run: str | None = None
        self.looks: dict[int, str] = {}
        try:
            self.client = open_client(store_uri(workspace))
            self.run = _run(self.client, folder, committee)
            if self.run is not None:
                tags = self.client.get_run(self.run).data.tags
                self.looks = {int(tag.removeprefix(_TAG)): tags[tag] for tag in tags if tag.startswith(_TAG)}
            else:
                note("the look is not on an MLflow run: the committee was fitted without tracking")
        except Exception as error:  # noqa: BLE001 - a run that is gone, or a store that fails
            self._tell(error)

    def send(self, looks: Sequence[Mapping[str, Any]]) -> None:
        """Tag the run with the looks that it lacks, and log the accuracies seen there."""
        if self.run is None:
            return
        try:
            for look in looks:
                text, number = json.dumps(look), int(look["number"])
                if text in self.looks.values():
                    continue
                if number in self.looks:  # of a look from elsewhere, while the store was away
                    number = 1 + max(self.looks)
                name = "other_test/accuracy" if "data" in look else "test/accuracy"
                self.client.log_metric(self.run, name, look["accuracy"], int(time.time() * 1000), number)
                self.client.set_tag(self.run, f"{_TAG}{number}", text)
                self.looks[number] = text
        except Exception as error:  # noqa: BLE001
            self._tell(error)

    def _tell(self, error: Exception) -> None:
        self.run = None
        self.note(f"the look is not on an MLflow run yet, the next one brings it along: {reason_of(error)}")


def _run(client: Any, folder: Path, committee: str | Path | None) -> str | None:
    """The run that the folder knows, or the one that the committee was named by."""
    from pipelines.tracked_model import run_of

    if (folder / RUNS).is_file():
        return str(json.loads((folder / RUNS).read_text(encoding="utf-8"))["parent"])
    return run_of(client, committee)
