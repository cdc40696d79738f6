"""How good a committee will be: its accuracy on the faces it was fitted on, and on faces it was not.

A rule chosen by its fitted accuracy is the rule that overfits best. So every rule's row in the table shows the nested
accuracy beside it, and selection uses the nested one.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from backbones.errors import InputError
from ensemble.committee import Posteriors, cross_fit, fit_node
from ensemble.committee_spec import CommitteeNode
from ensemble.comparison import Comparison, bootstrap_interval, mcnemar
from ensemble.metric import accuracy, brier, expected_calibration_error, nll
from ensemble.rules import Probs, check_labels

__all__ = ["Estimate", "estimate", "nested_probs"]


@dataclass(frozen=True, kw_only=True)
class Estimate:
    """One row of the table of rules. All but the fitted numbers are of faces held out of the fit.

    Attributes:
        name: Name of the node.
        rule: Its rule.
        faces: Number of labelled faces.
        fitted_accuracy: Accuracy on the faces of the fit.
        nested_accuracy: Cross-fitted accuracy.
        nested_interval: 95 % bootstrap interval of it.
        fitted_nll: Negative log-likelihood on the faces of the fit, in nats.
        nll: Cross-fitted negative log-likelihood.
        brier: Cross-fitted Brier score.
        calibration_error: Cross-fitted expected calibration error.
        against_best_member: Cross-fitted votes against those of the most accurate single member.
        against_mean: Cross-fitted votes against those of the unweighted mean of all members.
    """

    name: str
    rule: str
    faces: int
    fitted_accuracy: float
    nested_accuracy: float
    nested_interval: tuple[float, float]
    fitted_nll: float
    nll: float
    brier: float
    calibration_error: float
    against_best_member: Comparison
    against_mean: Comparison

    @property
    def optimism(self) -> float:
        """How much better the fit looks than it is: fitted minus nested accuracy."""
        return self.fitted_accuracy - self.nested_accuracy


def nested_probs(
    node: CommitteeNode, posteriors: Posteriors, labels: npt.ArrayLike, *, folds: int = 10, seed: int = 0
) -> Probs:
    """Probabilities for every face from a committee fitted without it.

    Args:
        node: The resolved tree; a tree of several levels is cross-fitted within each fold again.
        posteriors: (N, K) probabilities by member name.
        labels: (N,) true class indices.
        folds: Number of stratified folds.
        seed: Seed of the folds.

    Returns:
        (N, K) probabilities.

    Raises:
        InputError: A member is missing, or there are too few faces to hold any out.
    """
    missing = [name for name in node.members if name not in posteriors]
    if missing:
        raise InputError(f"Expected probabilities of {', '.join(missing)}, but got only {', '.join(posteriors)}.")
    checked = check_labels(labels, np.shape(posteriors[node.members[0]]))
    return cross_fit(node, posteriors, checked, folds=folds, seed=seed)


def estimate(
    node: CommitteeNode, posteriors: Posteriors, labels: npt.ArrayLike, *, folds: int = 10, seed: int = 0
) -> Estimate:
    """Fit a committee, and cross-fit it, to tell how far its fitted accuracy can be trusted.

    Args:
        node: The resolved tree.
        posteriors: (N, K) probabilities by member name.
        labels: (N,) true class indices.
        folds: Folds of the nested estimate.
        seed: Seed of all folds.
    """
    nested = nested_probs(node, posteriors, labels, folds=folds, seed=seed)
    y = check_labels(labels, nested.shape)
    members = [np.asarray(posteriors[name], dtype=np.float64) for name in node.members]
    best = max(members, key=lambda probs: accuracy(probs, y))
    fitted = fit_node(node, posteriors, y, folds=5, seed=seed)(posteriors)
    return Estimate(
        name=node.name,
        rule=node.rule,
        faces=len(y),
        fitted_accuracy=accuracy(fitted, y),
        nested_accuracy=accuracy(nested, y),
        nested_interval=bootstrap_interval((nested.argmax(axis=1) == y).astype(np.float64), seed=seed),
        fitted_nll=nll(fitted, y),
        nll=nll(nested, y),
        brier=brier(nested, y),
        calibration_error=expected_calibration_error(nested, y),
        against_best_member=mcnemar(nested, best, y),
        against_mean=mcnemar(nested, np.mean(members, axis=0), y),
    )
