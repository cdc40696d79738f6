"""MLflow: the one module that knows it.

A committee is a parent run, every member a child run. Run ids are kept in the committee's folder, so a resumed fit
continues its runs. A tracking store that fails is reported once and never ends a fit.
"""

from __future__ import annotations

import json
import logging
import os
import time
from collections.abc import Callable, Iterable, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from backbones.errors import InputError
from ensemble.faces import Faces
from pipelines.atomic import write_json
from pipelines.environment import prepare_environment
from pipelines.workspace import MANIFEST, Workspace

__all__ = ["EXPERIMENT", "Tracker", "bundle_of_run", "record_look", "store_uri"]

EXPERIMENT = "ensemble"
_RUNS = "tracking.json"


def store_uri(workspace: Workspace) -> str:
    """The tracking store: `$MLFLOW_TRACKING_URI`, else a sqlite file under the workspace.

    Raises:
        InputError: The workspace holds a store of the old file format.
    """
    if os.environ.get("MLFLOW_TRACKING_URI"):
        return os.environ["MLFLOW_TRACKING_URI"]
    old = next(workspace.root.glob("*/meta.yaml"), None)
    if old is not None:
        raise InputError(
            f"Expected `{workspace.root}` to be free of MLflow's old file store, but got `{old}`. "
            f"Convert it with `mlflow migrate-filestore`, or move it away."
        )
    return f"sqlite:///{workspace.root.resolve() / 'mlflow.db'}"


class Tracker:
    """Logs one committee's fit.

    Args:
        workspace: Where the default store lies.
        folder: The committee's folder, which remembers the run ids.
        note: Told one line if the store fails.
    """

    def __init__(self, workspace: Workspace, folder: Path, *, note: Callable[[str], None]) -> None:
        self.workspace, self.folder, self.note = workspace, folder, note
        self.client: Any = None
        self.runs: dict[str, Any] = {}

    @contextmanager
    def _guarded(self) -> Any:
        """Whatever the store raises is a note, and the end of tracking for this process; runs resume later."""
        try:
            yield
        except InputError:
            raise
        except Exception as error:  # noqa: BLE001 - whatever it is, the fit must go on
            self.client = None
            self.note(f"tracking in MLflow failed, the fit goes on without it: {str(error).splitlines()[0][:200]}")

    def open(
        self, *, name: str, digest: str, params: Mapping[str, Any], data: Iterable[Faces], stage: str = "committee"
    ) -> None:
        """Start the parent run, or continue it if the folder knows one for the same plan."""
        uri = store_uri(self.workspace)
        with self._guarded():
            self.client = _client(uri)
            experiment = self._experiment()
            stored = self._stored(digest)
            if stored is not None and self._revive(stored["parent"]):
                self.runs = stored
                return
            tags = {"stage": stage, stage: name, "data_digest": digest[:16]}
            run = self.client.create_run(experiment, tags=tags, run_name=name)
            self.runs = {"plan": digest, "experiment": experiment, "parent": run.info.run_id, "members": {}}
            self._save()
            self._log(run.info.run_id, params=params)
            self.client.log_inputs(run.info.run_id, [_dataset(faces) for faces in data])

    def member(self, name: str, *, params: Mapping[str, Any], tags: Mapping[str, str]) -> None:
        """Start a member's run, or continue it."""
        if self.client is None:
            return
        with self._guarded():
            known = self.runs["members"].get(name)
            if known is not None and self._revive(known):
                return
            all_tags = {"mlflow.parentRunId": self.runs["parent"], "stage": "member", **tags}
            run = self.client.create_run(self.runs["experiment"], tags=all_tags, run_name=name)
            self.runs["members"][name] = run.info.run_id
            self._save()
            self._log(run.info.run_id, params=params)

    def epochs(self, name: str, history: list[dict[str, float]], *, section: str = "epoch") -> None:
        """Log the epochs of a member that its run does not have yet.

        Args:
            name: The member's.
            history: One record per epoch.
            section: Before the names of the curves.
        """
        if self.client is None:
            return
        with self._guarded():
            run = self.runs["members"][name]
            last = max((m.step for m in self.client.get_metric_history(run, f"{section}/train_loss")), default=0)
            for record in history:
                if record["epoch"] > last:
                    metrics = {f"{section}/{key}": value for key, value in record.items() if key != "epoch"}
                    self._log(run, metrics=metrics, step=int(record["epoch"]))

    def finish(
        self,
        member: str | None,
        *,
        metrics: Mapping[str, float],
        figures: Mapping[str, Any],
        tables: Mapping[str, Any],
        folder: Path,
        files: Iterable[Path],
        place: str = "bundle",
    ) -> None:
        """Log results and end a run.

        Args:
            member: Its name; None for the committee.
            metrics: Headline numbers.
            figures: matplotlib figures by artifact path.
            tables: Data frames by artifact path.
            folder: Of the committee or the member.
            files: Files in it to store as the run's bundle.
            place: Artifact folder of the files.
        """
        if self.client is None:
            return
        with self._guarded():
            run = self.runs["parent"] if member is None else self.runs["members"][member]
            if self.client.get_run(run).info.status == "FINISHED":
                return
            self._log(run, metrics=metrics)
            for path, figure in figures.items():
                self.client.log_figure(run, figure, path)
            for path, frame in tables.items():
                self.client.log_table(run, frame, path)
            for file in files:
                inside = file.parent.relative_to(folder)
                self.client.log_artifact(run, str(file), str(Path(place) / inside))
            self.client.set_terminated(run, "FINISHED")

    def fail(self, member: str, reason: str) -> None:
        """End a member's run that has no result."""
        if self.client is None:
            return
        with self._guarded():
            run = self.runs["members"][member]
            self.client.set_tag(run, "reason", reason[:5000])
            self.client.set_terminated(run, "FAILED")

    def reopen(self) -> None:
        """Set the finished parent run back to RUNNING: more is to come."""
        if self.client is None:
            return
        with self._guarded():
            self.client.update_run(self.runs["parent"], status="RUNNING")

    def leave(self, kind: type[BaseException] | None) -> None:
        """Mark what has not finished as the exception's type says; without an exception all stays as it is."""
        if kind is not None:
            self.stop("KILLED" if issubclass(kind, KeyboardInterrupt) else "FAILED")

    def stop(self, status: str) -> None:
        """Mark the runs that have not finished: KILLED if interrupted, FAILED on an error."""
        if self.client is None or not self.runs:
            return
        with self._guarded():
            for run in (self.runs["parent"], *self.runs["members"].values()):
                if self.client.get_run(run).info.status == "RUNNING":
                    self.client.set_terminated(run, status)

    def _experiment(self) -> str:
        found = self.client.get_experiment_by_name(EXPERIMENT)
        if found is not None:
            return str(found.experiment_id)
        location = None if os.environ.get("MLFLOW_TRACKING_URI") else (self.workspace.root / "artifacts").resolve()
        try:
            return str(self.client.create_experiment(EXPERIMENT, location.as_uri() if location else None))
        except Exception:  # noqa: BLE001 - another process was faster
            return str(self.client.get_experiment_by_name(EXPERIMENT).experiment_id)

    def _stored(self, digest: str) -> dict[str, Any] | None:
        try:
            stored = json.loads((self.folder / _RUNS).read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return None
        return stored if isinstance(stored, dict) and stored.get("plan") == digest else None

    def _save(self) -> None:
        write_json(self.folder / _RUNS, self.runs)

    def _revive(self, run: str) -> bool:
        """Set an interrupted run back to RUNNING; False if the store does not know it."""
        try:
            status = self.client.get_run(run).info.status
        except Exception:  # noqa: BLE001 - no such run, or no store
            return False
        if status not in ("RUNNING", "FINISHED"):
            self.client.update_run(run, status="RUNNING")
        return True

    def _log(
        self,
        run: str,
        *,
        metrics: Mapping[str, float] | None = None,
        params: Mapping[str, Any] | None = None,
        step: int = 0,
    ) -> None:
        from mlflow.entities import Metric, Param

        now = int(time.time() * 1000)
        self.client.log_batch(
            run,
            metrics=[Metric(key, float(value), now, step) for key, value in (metrics or {}).items()],
            params=[Param(key, str(value)[:500]) for key, value in (params or {}).items()],
        )


def _client(uri: str) -> Any:
    prepare_environment()
    logging.getLogger("alembic").setLevel(logging.WARNING)
    if uri.startswith("sqlite:///"):
        Path(uri.removeprefix("sqlite:///")).parent.mkdir(parents=True, exist_ok=True)
    from mlflow import MlflowClient

    return MlflowClient(tracking_uri=uri)


def _dataset(faces: Faces) -> Any:
    from mlflow.entities import Dataset, DatasetInput, InputTag

    profile = {"faces": len(faces), **dict(zip(faces.classes, map(int, faces.class_counts), strict=True))}
    entity = Dataset(
        name=faces.split, digest=faces.digest[:32], source_type="local", source="{}", profile=json.dumps(profile)
    )
    return DatasetInput(entity, [InputTag("mlflow.data.context", faces.split)])


def record_look(workspace: Workspace, folder: Path, look: Mapping[str, Any], *, note: Callable[[str], None]) -> None:
    """Tag a committee's run with a look at the test split, and log the accuracy seen there.

    Args:
        workspace: Where the default store lies.
        folder: The committee's folder, which knows its run.
        look: Its number, when, who, which committee, and the accuracy.
        note: Told one line if there is no such run or the store fails; the folder has its own record.
    """
    try:
        run = json.loads((folder / _RUNS).read_text(encoding="utf-8"))["parent"]
        client = _client(store_uri(workspace))
        client.set_tag(run, f"test_look_{look['number']}", json.dumps(look))
        client.log_metric(run, "test/accuracy", look["accuracy"], step=int(look["number"]))
    except Exception as error:  # noqa: BLE001 - an untracked committee, or a store that fails
        note(f"the look is not on an MLflow run: {str(error).splitlines()[0][:200]}")


def bundle_of_run(workspace: Workspace, run: str) -> Path:
    """The committee that a parent run holds, as a local folder.

    Args:
        workspace: Where the default store lies.
        run: The run's id, or `runs:/ID`.

    Raises:
        InputError: The store has no such run, or it holds no committee.
    """
    uri, name = store_uri(workspace), run.removeprefix("runs:/").split("/")[0]
    _client(uri)
    from mlflow.artifacts import download_artifacts
    from mlflow.exceptions import MlflowException

    try:
        folder = Path(download_artifacts(run_id=name, artifact_path="bundle", tracking_uri=uri))
    except (MlflowException, OSError) as error:
        reason = str(error).splitlines()[0][:200]
        raise InputError(f"Expected `--committee` to be a run of {uri}, but got {run!r}: {reason}") from None
    if not (folder / MANIFEST).is_file():
        raise InputError(f"Expected {run!r} to be a committee's run, but it is a member's. Name its parent run.")
    return folder
