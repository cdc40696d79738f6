"""Fits the head `linear_svm` with scikit-learn."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import torch
from sklearn.calibration import CalibratedClassifierCV
from sklearn.model_selection import StratifiedKFold
from sklearn.svm import LinearSVC

from backbones.contract import Head
from backbones.errors import InputError
from backbones.head.linear_svm import LinearSVM
from pipelines.estimators import ESTIMATORS, Estimator

__all__ = ["LinearSVMEstimator"]

_ITERATIONS = 2000
_HARD = 1.0  # a `c` that lets next to no face lie on the wrong side where planes can part them


@ESTIMATORS.register("linear_svm")
class LinearSVMEstimator(Estimator):
    """Planes by liblinear on all faces, sigmoids on the scores of faces that their planes were not fitted on."""

    def least(self, head: Head) -> int:
        """One face of every class in each of the head's folds."""
        assert isinstance(head, LinearSVM)
        return head.folds

    def relax(self, head: Head) -> None:
        """A margin that is all but hard."""
        assert isinstance(head, LinearSVM)
        head.c = max(head.c, _HARD)

    def fit(self, head: Head, features: npt.NDArray[np.float32], labels: npt.NDArray[np.int64], *, seed: int) -> None:
        """Fit on features (N, F) and class indices (N,), and fill the head's parameters in place.

        Raises:
            InputError: A class has fewer faces than there are folds.
        """
        assert isinstance(head, LinearSVM)
        _check(labels, classes=head.planes.out_features, folds=head.folds)
        machine = LinearSVC(
            C=head.c, dual=len(features) <= features.shape[1], max_iter=_ITERATIONS, random_state=seed % 2**32
        )
        parts = StratifiedKFold(n_splits=head.folds, shuffle=True, random_state=seed % 2**32)
        fitted = CalibratedClassifierCV(machine, method="sigmoid", cv=parts, ensemble=False).fit(features, labels)
        (calibrated,) = fitted.calibrated_classifiers_
        weight, bias = calibrated.estimator.coef_, calibrated.estimator.intercept_
        # scikit-learn's sigmoid is 1 / (1 + exp(a·score + b)).
        slope = -np.array([sigmoid.a_ for sigmoid in calibrated.calibrators])
        offset = -np.array([sigmoid.b_ for sigmoid in calibrated.calibrators])
        if len(weight) == 1:  # two classes share one plane, seen from either side
            weight, bias, offset = np.concatenate([-weight, weight]), np.r_[-bias, bias], np.r_[-offset, offset]
            slope = np.repeat(slope, 2)
        learned = {"planes.weight": weight, "planes.bias": bias, "slope": slope, "offset": offset}
        head.load_state_dict({name: torch.from_numpy(value) for name, value in learned.items()})


def _check(labels: npt.NDArray[np.int64], *, classes: int, folds: int) -> None:
    counts = np.bincount(labels, minlength=classes)
    if counts.min() < folds:
        raise InputError(
            f"Expected at least {folds} training faces of every class for `linear_svm`, but class {counts.argmin()} "
            f"has {counts.min()}. Add faces, or lower `head.folds`."
        )
