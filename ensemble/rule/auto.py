"""The rule that chooses a rule: by what held-out faces say, and the simpler one if in doubt."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, Self

import numpy as np

from backbones.errors import InputError, nearest
from backbones.parameter import Folds, Natural
from ensemble.fold import stratified_folds
from ensemble.metric import FLOOR
from ensemble.rules import RULES, FusionRule, Labels, Probs

__all__ = ["SIMPLEST_FIRST", "Auto", "choose"]

SIMPLEST_FIRST = (
    "mean", "geometric_mean", "median", "va_simple", "log_likelihood", "hinge", "va_expo", "greedy", "stacking",
)  # fmt: skip
"""Rules in the order of what they learn: nothing, accuracies, weights, a searched exponent or set, a matrix."""


@RULES.register("auto")
class Auto(FusionRule):
    """The simplest rule whose cross-fitted NLL is within one standard error of the best one's.

    Breiman, Friedman, Olshen & Stone, 1984, Classification and regression trees: the one-standard-error rule, here with
    the standard error of the paired difference, since all rules are judged on the same faces. The choice is part of the
    fit, so that a nested estimate of this rule pays for choosing.

    Args:
        candidates: Rules to choose from; by default all but the majority vote.
        folds: Folds of the cross-fit.
        seed: Seed of the folds.

    With fewer than two faces a fold it takes the simplest candidate.

    Attributes:
        choice_: Name of the chosen rule.
        nested_nll_: Cross-fitted NLL of every candidate.
    """

    learned: ClassVar[tuple[str, ...]] = ("choice_", "nested_nll_", "rule_")

    choice_: str
    nested_nll_: dict[str, float]
    rule_: FusionRule

    def __init__(self, *, candidates: list[str] | None = None, folds: Folds = 5, seed: Natural = 0) -> None:
        names = list(SIMPLEST_FIRST) if candidates is None else candidates
        unknown = [name for name in names if name not in SIMPLEST_FIRST]
        if unknown or not names:
            got = repr(unknown[0]) if unknown else "none"
            hint = nearest(unknown[0], SIMPLEST_FIRST) if unknown else ""
            raise InputError(
                f"Expected `candidates` to be some of {', '.join(SIMPLEST_FIRST)}, but got {got}. {hint}".rstrip()
            )
        self.candidates = candidates
        self._names = [name for name in SIMPLEST_FIRST if name in names]
        self.folds, self.seed = folds, seed

    @property
    def members(self) -> int | None:
        """Number of voters the chosen rule was fitted on."""
        return self.rule_.members if self.fitted else None

    def _fit(self, probs: Probs, labels: Labels) -> None:
        if len(labels) < 2 * self.folds:  # nothing to choose by
            self.nested_nll_, self.choice_ = {}, self._names[0]
            self.rule_ = RULES.build(self.choice_).fit(probs, labels)
            return
        fold = stratified_folds(labels, folds=self.folds, seed=self.seed)
        losses = {name: _held_out_losses(name, probs, labels, fold) for name in self._names}
        self.nested_nll_ = {name: float(loss.mean()) for name, loss in losses.items()}
        self.choice_ = choose(losses)
        self.rule_ = RULES.build(self.choice_).fit(probs, labels)

    def _fuse(self, probs: Probs) -> Probs:
        return self.rule_(probs)

    def state(self) -> dict[str, Any]:
        """The choice, its reasons, and the state of the chosen rule."""
        if not self.fitted:
            return {}
        return {"choice": self.choice_, "nested_nll": self.nested_nll_, "chosen": self.rule_.state()}

    def load_state(self, state: Mapping[str, Any]) -> Self:
        """Take over what `state` returned.

        Raises:
            InputError: The state names no rule, or lacks that rule's own.
        """
        choice = state.get("choice")
        if choice not in SIMPLEST_FIRST or "chosen" not in state:
            raise InputError(f"Expected the state of `auto` to hold a `choice` and its state, but got {sorted(state)}.")
        self.choice_, self.nested_nll_ = choice, dict(state.get("nested_nll", {}))
        self.rule_ = RULES.build(choice).load_state(state["chosen"])
        return self


def choose(losses: Mapping[str, Probs]) -> str:
    """The first name whose mean loss exceeds the least one by no more than the standard error of the difference.

    Args:
        losses: (N,) losses of single faces by name, simplest first.

    Example:
        >>> choose({"simple": np.array([1.0, 1.2, 0.9]), "complex": np.array([0.9, 1.25, 0.8])})
        'simple'
    """
    best = min(losses.values(), key=lambda loss: float(loss.mean()))
    for name, loss in losses.items():
        difference = loss - best
        if difference.mean() <= difference.std(ddof=1) / np.sqrt(len(difference)):
            return name
    raise AssertionError("the best candidate is always within reach of itself")


def _held_out_losses(name: str, probs: Probs, labels: Labels, fold: Labels) -> Probs:
    """(N,) negative log-likelihoods of faces that the rule was not fitted on."""
    held = np.empty(probs.shape[1:])
    if not RULES.build(name).needs_fit:
        held = RULES.build(name)(probs)
    else:
        for index in range(fold.max() + 1):
            out = fold == index
            held[out] = RULES.build(name).fit(probs[:, ~out], labels[~out])(probs[:, out])
    return np.asarray(-np.log(np.maximum(held[np.arange(len(labels)), labels], FLOOR)))
