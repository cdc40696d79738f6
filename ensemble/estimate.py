"""How good a committee will be: its accuracy on the faces it was fitted on, and on faces it was not.

A rule chosen by its fitted accuracy is the rule that overfits best. So every rule's row in the table shows the nested
accuracy beside it, and selection uses the nested one. Its faces are held out by cross-fitting, or, where the members
judge the training faces out of fold, by fitting the rules on those.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from backbones.errors import InputError
from ensemble.committee_spec import CommitteeNode
from ensemble.comparison import Comparison, bootstrap_interval, mcnemar
from ensemble.fitted_node import FittedNode, Posteriors, cross_fit, fit_node
from ensemble.metric import accuracy, brier, expected_calibration_error, nll, wilson_interval
from ensemble.rule.temperature import best_temperature
from ensemble.rules import Labels, Probs, check_labels

__all__ = ["Estimate", "OutOfFold", "estimate", "nested_probs"]


@dataclass(frozen=True, kw_only=True)
class OutOfFold:
    """What members say of training faces that they have not seen.

    Rules are fitted on these faces, so that all others, the validation faces first of all, are held out.

    Attributes:
        posteriors: (N, K) probabilities by member name.
        labels: (N,) true class indices.
    """

    posteriors: Posteriors
    labels: Labels


@dataclass(frozen=True, kw_only=True)
class Estimate:
    """One row of the table of rules. All but the fitted numbers are of faces held out of the fit.

    Attributes:
        name: Name of the node.
        rule: Its rule.
        faces: Number of labelled faces held out.
        fit_faces: Number of labelled faces of the fit.
        fitted_accuracy: Accuracy on the faces of the fit.
        nested_accuracy: Held-out accuracy.
        nested_interval: 95 % bootstrap interval of it; Wilson's where all faces are right, or none.
        fitted_nll: Negative log-likelihood on the faces of the fit, in nats.
        nll: Held-out negative log-likelihood.
        brier: Held-out Brier score.
        calibration_error: Held-out expected calibration error.
        temperature: That of least NLL for the held-out probabilities; 1 if the tree ends in one anyway.
        against_best_member: Held-out votes against those of the most accurate single member.
        against_mean: Held-out votes against those of the unweighted mean of all members.
    """

    name: str
    rule: str
    faces: int
    fit_faces: int
    fitted_accuracy: float
    nested_accuracy: float
    nested_interval: tuple[float, float]
    fitted_nll: float
    nll: float
    brier: float
    calibration_error: float
    temperature: float
    against_best_member: Comparison
    against_mean: Comparison

    @property
    def optimism(self) -> float:
        """How much better the fit looks than it is: fitted minus nested accuracy."""
        return self.fitted_accuracy - self.nested_accuracy


def nested_probs(
    node: CommitteeNode,
    posteriors: Posteriors,
    labels: npt.ArrayLike,
    *,
    folds: int = 10,
    seed: int = 0,
    fit_on: OutOfFold | None = None,
) -> Probs:
    """Probabilities for every face from a committee fitted without it.

    Args:
        node: The resolved tree; a tree of several levels is cross-fitted within each fold again.
        posteriors: (N, K) probabilities by member name.
        labels: (N,) true class indices.
        folds: Number of stratified folds.
        seed: Seed of the folds.
        fit_on: Training faces to fit on; None cross-fits on the faces themselves.

    Returns:
        (N, K) probabilities.

    Raises:
        InputError: A member is missing, or there are too few faces to hold any out.
    """
    checked = _checked(node, posteriors, labels)
    if fit_on is None:
        return cross_fit(node, posteriors, checked, folds=folds, seed=seed)
    return _fitted(node, fit_on.posteriors, fit_on.labels, seed)(posteriors)


def estimate(
    node: CommitteeNode,
    posteriors: Posteriors,
    labels: npt.ArrayLike,
    *,
    folds: int = 10,
    seed: int = 0,
    fit_on: OutOfFold | None = None,
    held_out: Probs | None = None,
) -> Estimate:
    """Fit a committee, and judge it on faces held out of the fit, to tell how far its fitted accuracy can be trusted.

    Args:
        node: The resolved tree.
        posteriors: (N, K) probabilities by member name.
        labels: (N,) true class indices.
        folds: Folds of the nested estimate.
        seed: Seed of all folds.
        fit_on: Training faces to fit on, which holds all faces out at once; None cross-fits on the faces themselves.
        held_out: (N, K) what `nested_probs` says, if that is known already.
    """
    y = _checked(node, posteriors, labels)
    seen, truth = (posteriors, y) if fit_on is None else (fit_on.posteriors, fit_on.labels)
    committee = _fitted(node, seen, truth, seed)
    fitted = committee(seen)
    if held_out is not None:
        nested = held_out
    else:
        nested = cross_fit(node, posteriors, y, folds=folds, seed=seed) if fit_on is None else committee(posteriors)
    members = [np.asarray(posteriors[name], dtype=np.float64) for name in node.members]
    best = max(members, key=lambda probs: accuracy(probs, y))
    return Estimate(
        name=node.name,
        rule=node.rule,
        faces=len(y),
        fit_faces=len(truth),
        fitted_accuracy=accuracy(fitted, truth),
        nested_accuracy=accuracy(nested, y),
        nested_interval=_interval(nested.argmax(axis=1) == y, seed=seed),
        fitted_nll=nll(fitted, truth),
        nll=nll(nested, y),
        brier=brier(nested, y),
        calibration_error=expected_calibration_error(nested, y),
        temperature=1.0 if fit_on is None and _ends_calibrated(node) else best_temperature(nested, y),
        against_best_member=mcnemar(nested, best, y),
        against_mean=mcnemar(nested, np.mean(members, axis=0), y),
    )


def _checked(node: CommitteeNode, posteriors: Posteriors, labels: npt.ArrayLike) -> Labels:
    """The labels of the faces, of which every member of the tree says something."""
    missing = [name for name in node.members if name not in posteriors]
    if missing:
        raise InputError(f"Expected probabilities of {', '.join(missing)}, but got only {', '.join(posteriors)}.")
    return check_labels(labels, np.shape(posteriors[node.members[0]]))


def _fitted(node: CommitteeNode, posteriors: Posteriors, labels: npt.ArrayLike, seed: int) -> FittedNode:
    return fit_node(node, posteriors, _checked(node, posteriors, labels), folds=5, seed=seed)


def _ends_calibrated(node: CommitteeNode) -> bool:
    """Whether the tree ends in a temperature over what it has fused, as `calibrate: [fused]` has it."""
    return node.rule == "temperature" and len(node.over) == 1


def _interval(hits: npt.NDArray[np.bool_], *, seed: int) -> tuple[float, float]:
    """95 % interval of an accuracy. Faces that are all alike tell a bootstrap nothing."""
    if hits.all() or not hits.any():
        return wilson_interval(int(hits.sum()), len(hits))
    return bootstrap_interval(hits.astype(np.float64), seed=seed)
