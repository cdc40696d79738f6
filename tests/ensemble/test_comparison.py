"""Paired tests and measures of diversity, by hand and against scipy."""

import numpy as np
import pytest
from scipy.stats import binom

from backbones.errors import InputError
from ensemble.comparison import bootstrap_interval, disagreement, mcnemar, oracle_accuracy, q_statistic


def one_hot(votes, classes=3):
    return np.eye(classes)[votes]


def test_mcnemar_is_the_exact_binomial_test():
    labels = np.zeros(20, dtype=np.int64)
    first, second = (
        np.r_[np.zeros(15, int), np.ones(5, int)],
        np.r_[np.zeros(8, int), np.ones(7, int), np.zeros(5, int)],
    )
    found = mcnemar(one_hot(first), one_hot(second), labels)
    assert (found.only_first, found.only_second) == (7, 5)
    assert found.gain == pytest.approx(0.1)
    assert found.p_value == pytest.approx(min(1.0, 2 * binom.cdf(5, 12, 0.5)))


def test_equal_votes_are_no_evidence():
    same = one_hot(np.array([0, 1, 2]))
    assert mcnemar(same, same, np.array([0, 1, 1])).p_value == 1.0


def test_other_faces_are_refused():
    with pytest.raises(InputError, match="Expected the same faces"):
        mcnemar(one_hot(np.array([0, 1])), one_hot(np.array([0])), np.array([0, 1]))


def test_bootstrap_covers_what_the_normal_approximation_does():
    scores = np.random.default_rng(0).random(3000) < 0.7
    low, high = bootstrap_interval(scores.astype(np.float64))
    half = 1.96 * np.sqrt(scores.mean() * (1 - scores.mean()) / 3000)
    assert low == pytest.approx(scores.mean() - half, abs=0.003)
    assert high == pytest.approx(scores.mean() + half, abs=0.003)


def test_diversity_by_hand():
    labels = np.array([0, 0, 0, 0])
    votes = np.array([[0, 0, 1, 1], [0, 1, 0, 1], [0, 0, 1, 1]])
    assert disagreement(votes)[0].tolist() == [0.0, 0.5, 0.0]
    q = q_statistic(votes, labels)
    assert q[0].tolist() == [1.0, 0.0, 1.0]  # independent of the second, the same as the third
    assert oracle_accuracy(votes, labels) == 0.75
