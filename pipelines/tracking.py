"""The runs of one committee or search in MLflow: a parent run, and a child run for every member or trial.

Run ids are kept in the folder, so whoever comes back continues its runs. Whatever fails here raises; that no fit ever
ends by it is the business of `pipelines.tracking_spool`.
"""

from __future__ import annotations

import json
import uuid
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from ensemble.faces import Faces
from pipelines.atomic import write_json
from pipelines.run_content import RunContent
from pipelines.run_owner import this_process
from pipelines.run_tags import origin_tags
from pipelines.run_writer import OWNER, end_run, log_content, log_metrics, log_params, mark_killed
from pipelines.tracked_model import bundle_of_run
from pipelines.tracking_store import EXPERIMENT, experiment_id, open_client, store_uri
from pipelines.workspace import Workspace

__all__ = ["EXPERIMENT", "RUNS", "Tracker", "bundle_of_run", "store_uri"]

RUNS = "tracking.json"
_KEY = "ensemble.key"
_LIVE = {"validation/accuracy": "validation_accuracy", "validation/nll": "validation_nll"}


class Tracker:
    """Writes the runs of one folder.

    Attributes:
        client: The store's; None until `open`.
        runs: Run ids: `parent`, and `members` by name; the experiment, and what else tells the runs again.

    Args:
        workspace: Where the default store lies.
        folder: The committee's or the search's, which remembers the run ids.
        source: Told as the source of the runs: the command.
    """

    def __init__(self, workspace: Workspace, folder: Path, *, source: str) -> None:
        self.workspace, self.folder, self.source = workspace, folder, source
        self.client: Any = None
        self.runs: dict[str, Any] = {}
        self._inputs: Sequence[Faces] = ()
        self._known = False
        self._last: dict[tuple[str, str], int] = {}

    def open(
        self, *, name: str, plan: str, params: Mapping[str, Any], data: Iterable[Faces], tags: Mapping[str, str]
    ) -> None:
        """Start the parent run, or continue it if the folder knows one for the same plan.

        Args:
            name: The run's.
            plan: Digest of what is fitted and on what; runs of another one are left alone.
            params: The parent's parameters.
            data: The faces, told as inputs of every run.
            tags: The parent's tags.
        """
        client = open_client(store_uri(self.workspace))
        experiment = experiment_id(client, self.workspace)
        self._inputs = tuple(data)
        stored = self.stored(plan)
        self._known = stored is not None
        self.runs = stored or {"plan": plan, "key": uuid.uuid4().hex, "parent": None, "members": {}}
        self.runs["experiment"] = experiment
        self._save()  # before there is a run, so that a run whose id gets lost is found by its key
        mark_killed(client, experiment)
        self.runs["parent"] = self._start(client, self.runs["parent"], name, "", params, tags)
        self._save()
        self.client = client

    def member(self, name: str, *, params: Mapping[str, Any], tags: Mapping[str, str]) -> None:
        """Start a member's run, or continue it."""
        tags = {"mlflow.parentRunId": self.runs["parent"], **tags}
        known = self.runs["members"].get(name)
        self.runs["members"][name] = self._start(self.client, known, name, f"/{name}", params, tags)
        self._save()

    def epochs(
        self, name: str, history: Sequence[Mapping[str, float]], *, section: str = "epoch", at: int | None = None
    ) -> None:
        """Log the epochs of a member that its run does not have yet.

        Args:
            name: The member's.
            history: One record per epoch, in their order.
            section: Before the names of the curves.
            at: When they ended, in ms of the epoch; default now.
        """
        run, known = self.runs["members"][name], (name, section)
        if known not in self._last:
            stored = self.client.get_metric_history(run, f"{section}/train_loss")
            self._last[known] = max((metric.step for metric in stored), default=0)
        new = [record for record in history if record["epoch"] > self._last[known]]
        if not new:
            return
        # The headline numbers so far come first and at step 0. The compare page takes the first metric that all runs
        # have for its default plot, and draws bars, one per run, of metrics that never had another step.
        live = {key: new[-1][source] for key, source in _LIVE.items() if source in new[-1]}
        if self.client.get_run(run).info.status != "FINISHED":
            log_metrics(self.client, run, [(live, 0)], at=at)
        curves = [({f"{section}/{k}": v for k, v in one.items() if k != "epoch"}, int(one["epoch"])) for one in new]
        log_metrics(self.client, run, curves, at=at)
        self._last[known] = int(new[-1]["epoch"])

    def finish(
        self, member: str | None, content: RunContent, *, before_end: Callable[[str], None] | None = None
    ) -> None:
        """Log results and end a run; one that has ended well stays as it is.

        Args:
            member: Its name; None for the parent.
            content: What there is to log.
            before_end: Called with the run's id when all is logged.
        """
        run = self.run_of(member)
        if self.client.get_run(run).info.status == "FINISHED":
            return
        log_content(self.client, run, content)
        if before_end is not None:
            before_end(run)
        end_run(self.client, run, "FINISHED")

    def fail(self, member: str, reason: str) -> None:
        """End a member's run that has no result."""
        run = self.runs["members"][member]
        self.client.set_tag(run, "reason", reason[:5000])
        end_run(self.client, run, "FAILED")

    def reopen(self) -> None:
        """Set the finished parent run back to RUNNING: more is to come."""
        self._revive(self.client, self.runs["parent"], finished=True)

    def stop(self, status: str) -> None:
        """Mark the runs that have not finished: KILLED if interrupted, FAILED on an error."""
        for run in (self.runs["parent"], *self.runs["members"].values()):
            if self.client.get_run(run).info.status == "RUNNING":
                end_run(self.client, run, status)

    def run_of(self, member: str | None) -> str:
        """The run's id of a member, or of the committee for None."""
        return str(self.runs["parent"] if member is None else self.runs["members"][member])

    def is_finished(self, member: str | None) -> bool:
        """Whether the run has ended well."""
        return bool(self.client.get_run(self.run_of(member)).info.status == "FINISHED")

    def stored(self, plan: str) -> dict[str, Any] | None:
        """What the folder knows of the runs of a plan."""
        try:
            stored = json.loads((self.folder / RUNS).read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return None
        fits = isinstance(stored, dict) and stored.get("plan") == plan
        return stored if fits and {"key", "parent", "members"} <= set(stored) else None

    def _save(self) -> None:
        write_json(self.folder / RUNS, self.runs)

    def _start(
        self, client: Any, known: str | None, name: str, role: str, params: Mapping[str, Any], tags: Mapping[str, str]
    ) -> str:
        """Continue a run by its id or by its key, or create it."""
        experiment, key = self.runs["experiment"], self.runs["key"] + role
        if known is not None and self._revive(client, known):
            return known
        if self._known:
            for lost in client.search_runs([experiment], f"tags.`{_KEY}` = '{key}'", max_results=1):
                if self._revive(client, lost.info.run_id):
                    return str(lost.info.run_id)
        own = {_KEY: key, OWNER: this_process(), "status": "running", **origin_tags(self.source)}
        run = client.create_run(experiment, tags={**own, **tags}, run_name=name).info.run_id
        log_params(client, run, params)
        if self._inputs:
            client.log_inputs(run, [_dataset(faces) for faces in self._inputs])
        return str(run)

    def _revive(self, client: Any, run: str, *, finished: bool = False) -> bool:
        """Set an interrupted run back to RUNNING; False if the store does not have it."""
        from mlflow.exceptions import MlflowException

        try:
            info = client.get_run(run).info
        except MlflowException as error:
            if error.error_code != "RESOURCE_DOES_NOT_EXIST":
                raise
            return False
        if info.lifecycle_stage != "active":
            return False
        if info.status != "FINISHED" or finished:
            client.update_run(run, status="RUNNING")
            client.set_tag(run, "status", "running")
            client.set_tag(run, OWNER, this_process())
        return True


def _dataset(faces: Faces) -> Any:
    from mlflow.entities import Dataset, DatasetInput, InputTag

    profile = {"faces": len(faces), **dict(zip(faces.classes, map(int, faces.class_counts), strict=True))}
    entity = Dataset(
        name=faces.split, digest=faces.digest[:32], source_type="local", source="{}", profile=json.dumps(profile)
    )
    return DatasetInput(entity, [InputTag("mlflow.data.context", faces.split)])
