"""What a search logs: a parent run with its ranges and its figure, and a child run per trial."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from ensemble.canonical import digest_of
from ensemble.tune_spec import TuneSpec
from pipelines.console import Console
from pipelines.run_content import RunContent
from pipelines.run_description import planned_description
from pipelines.run_writer import NOTE
from pipelines.study import Study, Trial
from pipelines.tracking import Tracker
from pipelines.tracking_spool import Event, TrackingSpool
from pipelines.trial_run import TrialScore
from pipelines.tune_data import TuneData
from pipelines.workspace import Workspace

__all__ = ["TuneTracking"]


class TuneTracking:
    """The tracker of one search, as a context: leaving it marks what has not finished.

    Args:
        workspace: Where the default store lies.
        folder: The search's folder.
        tune: The search.
        identity: What its trials have in common; a run of another identity is not continued.
        data: Its faces.
        console: For notes.
        enabled: Log nothing if false.
    """

    def __init__(
        self,
        workspace: Workspace,
        folder: Path,
        *,
        tune: TuneSpec,
        identity: Mapping[str, Any],
        data: TuneData,
        console: Console,
        enabled: bool,
    ) -> None:
        self.folder, self.tune, self.data, self.enabled = folder, tune, data, enabled
        self.tracker = Tracker(workspace, folder, source="ensemble tune")
        self.spool = TrackingSpool(
            folder, plan=digest_of(dict(identity)), deliver=self._deliver, note=console.note
        )  # fmt: skip

    def __enter__(self) -> Self:
        if self.enabled:
            self.spool.open()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if not self.enabled:
            return
        if kind is not None:
            self._send("stop", {"status": "KILLED" if issubclass(kind, KeyboardInterrupt) else "FAILED"})
        self.spool.close()

    def go_on(self, study: Study, *, wanted: int) -> None:
        """Log trials that ended while nothing was tracked; where more are wanted, the search runs again."""
        ended = study.trials()
        for trial in ended:
            if trial.name not in self.tracker.runs.get("members", {}):
                self.start(trial)
                self._finish(trial, trial.facts) if trial.reason is None else self.fail(trial, trial.reason)
        if len(ended) < wanted:
            self._send("reopen", {})

    def start(self, trial: Trial) -> None:
        """A trial is about to be run."""
        tags = {"stage": "trial", "trial": str(trial.number), "search": self.folder.name, **self._data_tag()}
        self._send("member", {"name": trial.name, "params": dict(trial.values), "tags": tags})

    def epochs(self, trial: Trial, history: list[dict[str, float]]) -> None:
        """Epochs of a trial are done."""
        self._send("epochs", {"name": trial.name, "history": history})

    def score(self, trial: Trial, score: TrialScore) -> None:
        """A trial has its score."""
        self.epochs(trial, score.history)
        self._finish(trial, score.facts)

    def fail(self, trial: Trial, reason: str) -> None:
        """A trial has no result."""
        self._send("fail", {"name": trial.name, "reason": reason})

    def close(self, study: Study, files: Sequence[Path]) -> None:
        """All trials have ended: log the best one's numbers, the figure and the other files."""
        best, ended = study.best(), study.trials()
        metrics = _metrics(best.facts) if best else {}
        metrics |= {"search/trials": len(ended), "search/failed": sum(trial.reason is not None for trial in ended)}
        self._send("finish", {"name": None, "metrics": metrics, "files": [str(file) for file in files]})

    def _finish(self, trial: Trial, facts: Mapping[str, float]) -> None:
        metrics = {**_metrics(facts), "fit/seconds": facts["seconds"]}
        self._send("finish", {"name": trial.name, "metrics": metrics, "files": []})

    def _send(self, call: str, args: Mapping[str, Any]) -> None:
        if self.enabled:
            self.spool.send(call, args)

    def _deliver(self, event: Event) -> None:
        args, tracker = event.args, self.tracker
        match event.call:
            case "open":
                self._open()
            case "member":
                tracker.member(args["name"], params=args["params"], tags=args["tags"])
            case "epochs":
                tracker.epochs(args["name"], args["history"], at=event.at)
            case "finish":
                files = [(Path(file), "search") for file in args["files"] if Path(file).is_file()]
                tracker.finish(args["name"], RunContent(metrics=args["metrics"], files=files))
            case "fail":
                tracker.fail(args["name"], args["reason"])
            case "reopen":
                tracker.reopen()
            case "stop":
                tracker.stop(args["status"])

    def _open(self) -> None:
        names = ("member", "sampler", "metric", "folds", "faces", "seed")
        params = {name: getattr(self.tune, name) for name in names}
        params |= {f"search/{place}": one.describe() for place, one in self.tune.search.items()}
        what = planned_description(f"**Search `{self.folder.name}`**: hyper-parameters of member `{self.tune.member}`.")
        tags = {"stage": "search", "search": self.folder.name, NOTE: what, **self._data_tag()}
        self.tracker.open(
            name=self.folder.name, plan=self.spool.plan, params=params, data=self.data.splits, tags=tags
        )  # fmt: skip

    def _data_tag(self) -> dict[str, str]:
        return {"data_digest": self.data.digest[:16]}


def _metrics(facts: Mapping[str, float]) -> dict[str, float]:
    return {
        "validation/accuracy": facts["accuracy"],
        "validation/nll": facts["nll"],
        "train/accuracy": facts["train_accuracy"],
    }
