"""The trials of a hyper-parameter search, kept in one sqlite file: the one module that knows optuna.

A trial's values follow from the seed, its number and, with `tpe`, the trials before it: not from when the search was
stopped. A trial that was running when its process was killed is handed out again, with its number and its values.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import optuna
from optuna.distributions import BaseDistribution
from optuna.samplers import BaseSampler, RandomSampler, TPESampler
from optuna.trial import FrozenTrial, TrialState

from backbones.errors import InputError, reason_of
from ensemble.tune_spec import SearchSpec, TuneSpec
from pipelines.seed import derived_seed

__all__ = ["STUDY", "Study", "Trial"]

STUDY = "study.db"
_IDENTITY, _FACTS, _REASON = "identity", "facts", "reason"


@dataclass(frozen=True, kw_only=True)
class Trial:
    """One point of the search.

    Attributes:
        number: Counted from 0.
        values: What is tried, by place.
        facts: Numbers of a finished trial: `accuracy`, `nll`, `train_accuracy`, `seconds`; empty before.
        reason: Why it failed, if it did.
    """

    number: int
    values: Mapping[str, Any]
    facts: Mapping[str, float]
    reason: str | None

    @property
    def name(self) -> str:
        """Its name in folders and runs."""
        return f"trial-{self.number:03}"


class Study:
    """A search's trials, as a context that closes the file.

    Args:
        folder: Where the file lies or is made; whoever opens it holds the folder's lock.
        tune: The search.
        identity: What the trials have to have in common, by name; another one is refused.

    Raises:
        InputError: The file is damaged, or it holds a search of another identity.
    """

    def __init__(self, folder: Path, tune: TuneSpec, identity: Mapping[str, Any]) -> None:
        self.tune, self.path = tune, folder / STUDY
        optuna.logging.set_verbosity(optuna.logging.ERROR)
        try:
            self._storage = optuna.storages.RDBStorage(f"sqlite:///{self.path.resolve()}")
            self._study = optuna.create_study(
                storage=self._storage,
                study_name="tune",
                sampler=_SeededSampler(tune.sampler, tune.seed),
                direction="maximize" if tune.metric == "accuracy" else "minimize",
                load_if_exists=True,
            )
        except Exception as error:  # noqa: BLE001 - whatever a damaged file makes sqlite, sqlalchemy or optuna raise
            raise InputError(
                f"Expected `{self.path}` to hold the trials of a search, but got: {reason_of(error)}. "
                f"Choose another folder with `--out`, or remove this one."
            ) from None
        self._identify(folder, identity)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the file."""
        self._storage.remove_session()
        self._storage.engine.dispose()

    def trials(self) -> list[Trial]:
        """All trials that have ended, in order."""
        return [_trial(frozen) for frozen in self._study.get_trials(deepcopy=False) if frozen.state.is_finished()]

    def best(self) -> Trial | None:
        """The best finished trial; None if there is none."""
        return min((trial for trial in self.trials() if trial.reason is None), key=self.rank, default=None)

    def rank(self, trial: Trial) -> tuple[float, float, int]:
        """Orders finished trials, the best first: by the metric, then by the other one, then by number."""
        accuracy, nll = -trial.facts["accuracy"], trial.facts["nll"]
        return (accuracy, nll, trial.number) if self.tune.metric == "accuracy" else (nll, accuracy, trial.number)

    def next(self) -> Trial:
        """The trial that was left running, or a new one."""
        running = self._study.get_trials(deepcopy=False, states=(TrialState.RUNNING,))
        # Optuna has no public way to go on with a running trial.
        self._open = optuna.Trial(self._study, running[0]._trial_id) if running else self._study.ask()  # noqa: SLF001
        values = {place: _suggest(self._open, place, one) for place, one in self.tune.search.items()}
        return Trial(number=self._open.number, values=values, facts={}, reason=None)

    def finish(self, facts: Mapping[str, float]) -> None:
        """The trial handed out last has ended with these numbers."""
        self._open.set_user_attr(_FACTS, dict(facts))
        self._study.tell(self._open, facts[self.tune.metric])

    def fail(self, reason: str) -> None:
        """The trial handed out last has no result. To `tpe` it is one of the worst."""
        self._open.set_user_attr(_REASON, reason)
        self._study.tell(self._open, state=TrialState.PRUNED)

    def _identify(self, folder: Path, identity: Mapping[str, Any]) -> None:
        known = self._study.user_attrs.get(_IDENTITY)
        own = json.loads(json.dumps(identity))
        if known is None:
            self._study.set_user_attr(_IDENTITY, own)
        elif known != own:
            self.close()
            differing = ", ".join(key for key in own if known.get(key) != own[key])
            raise InputError(
                f"Expected `{folder}` to hold trials of this search, but got those of another one: {differing} "
                f"differ{'' if ',' in differing else 's'}. Choose another folder with `--out`, or remove this one."
            )


class _SeededSampler(BaseSampler):
    """Draws every value with a generator of its own, seeded by (seed, trial, place)."""

    def __init__(self, kind: str, seed: int) -> None:
        self.kind, self.seed = kind, seed

    def _fresh(self, trial: FrozenTrial, place: str = "") -> BaseSampler:
        seed = derived_seed(self.seed, "trial", trial.number, place) % 2**32
        return RandomSampler(seed) if self.kind == "random" else TPESampler(seed=seed, constant_liar=False)

    def infer_relative_search_space(self, study: optuna.Study, trial: FrozenTrial) -> dict[str, BaseDistribution]:
        return self._fresh(trial).infer_relative_search_space(study, trial)

    def sample_relative(
        self, study: optuna.Study, trial: FrozenTrial, search_space: dict[str, BaseDistribution]
    ) -> dict[str, Any]:
        return self._fresh(trial).sample_relative(study, trial, search_space)

    def sample_independent(
        self, study: optuna.Study, trial: FrozenTrial, param_name: str, param_distribution: BaseDistribution
    ) -> Any:
        return self._fresh(trial, param_name).sample_independent(study, trial, param_name, param_distribution)


def _suggest(trial: optuna.Trial, place: str, search: SearchSpec) -> Any:
    if search.choices is not None:
        return trial.suggest_categorical(place, search.choices)
    low, high = search.ends
    if search.whole:
        return trial.suggest_int(place, low, high, step=int(search.step or 1), log=search.log)
    return trial.suggest_float(place, float(low), float(high), step=search.step, log=search.log)


def _trial(frozen: FrozenTrial) -> Trial:
    attributes = frozen.user_attrs
    reason = attributes.get(_REASON)
    if reason is None and frozen.state is not TrialState.COMPLETE:
        reason = "it was ended from outside"
    return Trial(number=frozen.number, values=frozen.params, facts=attributes.get(_FACTS, {}), reason=reason)
