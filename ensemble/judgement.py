"""What the judges' votes on a face say about its label.

A label and the votes on the same face are two opinions of people who disagree often: on FER2013 the votes' majority is
the label on two faces of three. Given the votes, the label's expectation is a target that scatters less about the same
mean, so far as the votes hold all that the face tells; the label itself holds what they do not.
"""

from __future__ import annotations

from typing import Literal

import numpy as np
import numpy.typing as npt

__all__ = ["Targets", "expected_labels"]

Targets = Literal["labels", "votes", "both"]
"""What a member is trained on: `both` is half the label, half `expected_labels`."""

_JUDGES = 10  # of FER+; turns shares into counts, so that an absent vote is not infinitely far from one
_COST = 1.0


def expected_labels(votes: npt.NDArray[np.floating], labels: npt.NDArray[np.int64]) -> npt.NDArray[np.float32]:
    """The distribution of the label given the votes: a multinomial logistic regression on the logarithms of the counts.

    Args:
        votes: (N, K) shares of the votes, rows summing to 1.
        labels: (N,) class indices, on which it is fitted.

    Returns:
        (N, K) distributions. A class without a face has probability 0.
    """
    from sklearn.linear_model import LogisticRegression

    expected = np.zeros(votes.shape, dtype=np.float32)
    present = np.unique(labels)
    if len(present) < 2:
        expected[:, present] = 1
        return expected
    counts = np.log1p(_JUDGES * votes.astype(np.float64))
    expected[:, present] = LogisticRegression(C=_COST, max_iter=1000).fit(counts, labels).predict_proba(counts)
    return expected
