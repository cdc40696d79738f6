"""What a search logs: a parent run with its ranges and its figure, and a child run per trial."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from ensemble.canonical import digest_of
from ensemble.tune_spec import TuneSpec
from pipelines.console import Console
from pipelines.study import Study, Trial
from pipelines.tracking import Tracker
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
        self.folder, self.tune, self.identity, self.data, self.enabled = folder, tune, identity, data, enabled
        self.tracker = Tracker(workspace, folder, note=console.note)

    def __enter__(self) -> Self:
        if self.enabled:
            names = ("member", "sampler", "metric", "folds", "faces", "seed")
            params = {name: getattr(self.tune, name) for name in names}
            params |= {f"search/{place}": one.describe() for place, one in self.tune.search.items()}
            self.tracker.open(
                name=self.folder.name, digest=digest_of(dict(self.identity)), params=params, data=self.data.splits,
                stage="search",
            )  # fmt: skip
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.tracker.leave(kind)

    def go_on(self, study: Study, *, wanted: int) -> None:
        """Log trials that ended while the store was out of reach; where more are wanted, the search runs again."""
        if self.tracker.client is None:
            return
        ended = study.trials()
        for trial in ended:
            if trial.name not in self.tracker.runs["members"]:
                self.start(trial)
                self.finish(trial, trial.facts) if trial.reason is None else self.fail(trial, trial.reason)
        if len(ended) < wanted:
            self.tracker.reopen()

    def start(self, trial: Trial) -> None:
        """A trial is about to be run."""
        self.tracker.member(trial.name, params=trial.values, tags={"stage": "trial", "trial": str(trial.number)})

    def epochs(self, trial: Trial, history: list[dict[str, float]]) -> None:
        """Epochs of a trial are done."""
        self.tracker.epochs(trial.name, history)

    def score(self, trial: Trial, score: TrialScore) -> None:
        """A trial has its score."""
        self.epochs(trial, score.history)
        self.finish(trial, score.facts)

    def finish(self, trial: Trial, facts: Mapping[str, float]) -> None:
        """Log a trial's numbers and end its run."""
        metrics = {**_metrics(facts), "seconds": facts["seconds"]}
        self.tracker.finish(trial.name, metrics=metrics, figures={}, tables={}, folder=self.folder, files=[])

    def fail(self, trial: Trial, reason: str) -> None:
        """A trial has no result."""
        self.tracker.fail(trial.name, reason)

    def close(self, study: Study, files: Sequence[Path]) -> None:
        """All trials have ended: log the best one's numbers, the figure and the other files."""
        best, ended = study.best(), study.trials()
        metrics = {"trials": float(len(ended)), "failed": float(sum(trial.reason is not None for trial in ended))}
        metrics |= _metrics(best.facts) if best else {}
        self.tracker.finish(
            None, metrics=metrics, figures={}, tables={}, folder=self.folder, files=files, place="search"
        )  # fmt: skip


def _metrics(facts: Mapping[str, float]) -> dict[str, float]:
    return {
        "validation/accuracy": facts["accuracy"],
        "validation/nll": facts["nll"],
        "train/accuracy": facts["train_accuracy"],
    }
