"""`ensemble tune`: searches the hyper-parameters of one member, trial by trial.

Killed at any moment and run again, it goes on where it was and ends with the same trials. Of each trial, the order is:
its files, its run in MLflow, its end in the study; each step may be repeated without harm.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from backbones.errors import InputError, MisfitError, nearest
from ensemble.canonical import digest_of
from ensemble.spec import MemberSpec
from ensemble.tune_spec import TuneSpec
from pipelines.atomic import sweep
from pipelines.console import Console
from pipelines.data_opening import open_data
from pipelines.device import choose_device, cpu_threads
from pipelines.environment import core_count
from pipelines.lock import locked
from pipelines.member_plan import check_member
from pipelines.out_of_memory import MemoryShortError, telling_memory
from pipelines.plan import Plan
from pipelines.search_place import placed
from pipelines.study import Study, Trial
from pipelines.termination import terminable
from pipelines.trainer import DivergedError
from pipelines.trial_run import TrialRun, TrialScore, UnbuiltError, tidy
from pipelines.tune_data import TuneData
from pipelines.tune_listener import TuneListener
from pipelines.tune_report import TuneReport
from pipelines.tune_tracking import TuneTracking
from pipelines.workspace import Workspace

__all__ = ["tune_member"]


def tune_member(
    plan: Plan, *, out: str | Path | None = None, device: str | None = None, track: bool = True, quiet: bool = False
) -> Path:
    """Run the search of a plan until it has as many trials as it asks for.

    Args:
        plan: The checked `members.yaml`, from `pipelines.plan.make_plan`.
        out: Folder of the search; default `mlruns/tune/<committee>-<member>`.
        device: Torch device; default CUDA where there is one.
        track: Whether to log to MLflow.
        quiet: Print only the table and the best values.

    Returns:
        The search's folder.

    Raises:
        InputError: Something the user gave is wrong, or the folder holds another search; ended trials are kept.
    """
    assert plan.tune is not None  # the command has asked for it
    console, workspace = Console(quiet=quiet), Workspace()
    for note in (*plan.notes, *_notes(plan, plan.tune)):
        console.note(note)
    base, target = _base(plan, plan.tune), choose_device(device)
    data = TuneData.open(open_data(plan.data, workspace, console, device=str(target), fit=True), plan.tune)
    folder = Path(out) if out is not None else workspace.searches / f"{plan.name}-{base.name}"
    identity = _identity(plan.tune, base, data)
    with locked(folder), terminable(), cpu_threads(core_count()), Study(folder, plan.tune, identity) as study:
        sweep(folder)
        search = _Search(plan.tune, base, plan.weights.get(base.name), data, folder, workspace.cache, target)
        tracking = TuneTracking(
            workspace, folder, tune=plan.tune, identity=identity, data=data, console=console, enabled=track
        )
        with tracking:
            search.run(study, tracking, console)
    return folder


_UNFIT = "these values do not go together"
_SHAPING = "backbone", "input"
"""What shapes a network, so that weights may fit it with some values and not with others."""


class _Search:
    """Runs the trials that are missing and reports."""

    def __init__(
        self,
        tune: TuneSpec,
        base: MemberSpec,
        weights: Path | None,
        data: TuneData,
        folder: Path,
        cache: Path,
        device: torch.device,
    ) -> None:
        self.tune, self.base, self.weights, self.data = tune, base, weights, data
        self.folder, self.cache, self.device = folder, cache, device

    def run(self, study: Study, tracking: TuneTracking, console: Console) -> None:
        ended = study.trials()
        self._tidy(study, ended)
        tracking.go_on(study, wanted=self.tune.trials)
        report = TuneReport(self.folder, self.tune, self.base, study)
        if len(ended) >= self.tune.trials:
            console.note(f"{self.folder}: finished before, {len(ended)} trials; a larger `--trials` goes on")
        elif ended:
            console.note(f"{self.folder}: goes on after {len(ended)} trials")
        with console.bars() as bars:
            listener = TuneListener(bars, console, tracking, wanted=self.tune.trials, folds=self.data.folds)
            while len(study.trials()) < self.tune.trials:
                self._trial(study, tracking, listener)
                report.write()
        report.write()
        report.draw()
        tracking.close(study, report.files())
        title, header, rows = report.table()
        console.table(title, header, rows, strong=0)
        if study.best() is None and all(trial.reason and _UNFIT in trial.reason for trial in study.trials()):
            first = study.trials()[0]
            raise InputError(f"trial {first.number} ({_listed(first.values)}): {first.reason} All trials ended so.")
        console.result(report.snippet() or "No trial has a result: see `trials.csv` for the reasons.")
        console.note(f"search: {self.folder}")

    def _trial(self, study: Study, tracking: TuneTracking, listener: TuneListener) -> None:
        before, trial = study.best(), study.next()
        tracking.start(trial)
        outcome: TrialScore | str
        try:
            spec = _with_values(self.base, trial.values)
        except InputError as error:
            listener.start(trial, epochs=self.base.epochs)
            outcome = str(error)
        else:
            listener.start(trial, epochs=spec.epochs)
            outcome = self._outcome(trial, spec, listener)
        if isinstance(outcome, str):
            tracking.fail(trial, outcome)
            study.fail(outcome)
        else:
            tracking.score(trial, outcome)
            study.finish(outcome.facts)
        listener.end(trial, outcome)
        self._tidy(study, [trial, *([before] if before else [])])

    def _outcome(self, trial: Trial, spec: MemberSpec, listener: TuneListener) -> TrialScore | str:
        """The score, or the reason why these values have none."""
        run = TrialRun(
            spec=spec, weights=self.weights, data=self.data, folder=self._folder(trial), cache=self.cache,
            device=self.device,
        )  # fmt: skip
        try:
            with telling_memory(spec):
                return run.run(listener)
        except (DivergedError, MemoryShortError) as error:
            return str(error)
        except UnbuiltError as error:
            return f"{_UNFIT}: {error}"
        except InputError as error:
            if isinstance(error, MisfitError) and any(place.startswith(_SHAPING) for place in trial.values):
                return f"{_UNFIT}: {error}"
            raise InputError(f"trial {trial.number} ({_listed(trial.values)}): {error}") from None

    def _tidy(self, study: Study, trials: list[Trial]) -> None:
        """Only the best trial keeps its weights."""
        best = study.best()
        for trial in trials:
            if best is None or trial.number != best.number:
                tidy(self._folder(trial))

    def _folder(self, trial: Trial) -> Path:
        return self.folder / "trials" / trial.name


def _base(plan: Plan, tune: TuneSpec) -> MemberSpec:
    """The member to be tuned, with the epochs of a trial; a trial trains one network, whatever the member's folds."""
    member = next((m for m in plan.members if m.name == tune.member), None)
    if member is None:
        raise InputError(
            f"Expected `tune.member` to be a member that can be trained, but `{tune.member}` is left out. "
            f"{nearest('', [m.name for m in plan.members])} Name its weights' folder with `--weights DIR`."
        )
    update = {"folds": None} if tune.epochs is None else {"folds": None, "epochs": tune.epochs}
    return member.model_copy(update=update)


def _notes(plan: Plan, tune: TuneSpec) -> list[str]:
    """What of the member the search leaves aside."""
    note = f"{tune.member}: its `folds` are left to the fit; a trial trains one network, or one per fold of the search"
    return [note for member in plan.members if member.name == tune.member and member.folds is not None]


def _with_values(base: MemberSpec, values: Mapping[str, Any]) -> MemberSpec:
    content: Any = base.model_dump(mode="json")
    for place, value in values.items():
        content = placed(content, place, value)
    spec, problems = check_member(content, "")
    if spec is None or problems:
        raise InputError(f"{_UNFIT}: " + "; ".join(map(str, problems)))
    return spec


def _identity(tune: TuneSpec, base: MemberSpec, data: TuneData) -> dict[str, Any]:
    """What all trials of a study have in common. The member's own values of what is searched do not matter."""
    sample = _with_values(base, {place: one.ends[0] for place, one in tune.search.items()})
    search = {place: [one.ends, one.whole, one.log, one.step] for place, one in tune.search.items()}
    return {
        "search": digest_of(search),
        "member": sample.fingerprint(""),
        "data": data.digest,
        **{key: getattr(tune, key) for key in ("metric", "folds", "faces", "sampler", "seed")},
    }


def _listed(values: Mapping[str, Any]) -> str:
    return ", ".join(f"{place} {value}" for place, value in values.items())
