"""The registry of estimators: heads that are fitted on features at once, not trained in epochs."""

from __future__ import annotations

from typing import TYPE_CHECKING

from backbones.registry import Registry

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    from backbones.contract import Head

__all__ = ["ESTIMATORS", "Estimator"]


class Estimator:
    """Base class: learns from features and labels, and writes what it learned into the head of its name."""

    def least(self, head: Head) -> int:
        """How many training faces it needs of every class."""
        raise NotImplementedError

    def relax(self, head: Head) -> None:
        """Weaken the head's regularisation so far that it may learn a few faces by heart."""
        raise NotImplementedError

    def fit(self, head: Head, features: npt.NDArray[np.float32], labels: npt.NDArray[np.int64], *, seed: int) -> None:
        """Fit on features (N, F) and class indices (N,), and fill the head's parameters in place.

        Raises:
            InputError: The faces do not suffice for it.
        """
        raise NotImplementedError


ESTIMATORS: Registry[Estimator] = Registry("estimator", "pipelines.estimator")
