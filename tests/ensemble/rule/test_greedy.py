"""Greedy selection, against a search over every sequence."""

import itertools

import numpy as np
import pytest

from ensemble.rule.greedy import select_greedily
from ensemble.rules import RULES


def nll(probs, labels):
    return -np.log(probs[np.arange(len(labels)), labels]).mean()


def test_by_hand():
    # Alone the first member is best; with the second once it is right on both faces, and no pick improves on that.
    probs = np.array([[[0.9, 0.1], [0.6, 0.4]], [[0.6, 0.4], [0.1, 0.9]], [[0.5, 0.5], [0.5, 0.5]]])
    rule = RULES.build("greedy", metric="accuracy", rounds=5).fit(probs, [0, 1])
    assert rule.picks_.tolist() == [0.0, 1.0, 0.0]
    assert rule(probs).argmax(axis=1).tolist() == [0, 1]


@pytest.mark.parametrize("seed", range(5))
def test_every_pick_is_the_best_addition(seed):
    rng = np.random.default_rng(seed)
    probs, labels = rng.dirichlet(np.ones(3), size=(4, 30)), rng.integers(0, 3, 30)
    picks = []
    best = (np.inf, [])
    for _ in range(6):
        losses = [nll(probs[[*picks, k]].mean(axis=0), labels) for k in range(4)]
        picks.append(int(np.argmin(losses)))
        if min(losses) < best[0] - 1e-12:
            best = (min(losses), list(picks))
    expected = np.bincount(best[1], minlength=4)
    np.testing.assert_array_equal(select_greedily(probs, labels, accuracy=False, rounds=6), expected)


def test_one_pick_is_the_best_member_of_all():
    rng = np.random.default_rng(0)
    probs, labels = rng.dirichlet(np.ones(3), size=(5, 40)), rng.integers(0, 3, 40)
    picks = select_greedily(probs, labels, accuracy=False, rounds=1)
    assert picks.argmax() == np.argmin([nll(p, labels) for p in probs])


def test_two_picks_never_lose_to_the_best_pair_that_holds_the_first():
    rng = np.random.default_rng(3)
    probs, labels = rng.dirichlet(np.ones(3), size=(4, 40)), rng.integers(0, 3, 40)
    first = int(np.argmin([nll(p, labels) for p in probs]))
    pairs = min(nll(probs[[first, k]].mean(axis=0), labels) for k in range(4))
    rule = RULES.build("greedy", rounds=2).fit(probs, labels)
    assert nll(rule(probs), labels) == pytest.approx(min(pairs, nll(probs[first], labels)))


def test_ties_do_not_depend_on_the_order():
    probs = np.array([[[0.8, 0.2], [0.4, 0.6]], [[0.6, 0.4], [0.2, 0.8]]])  # mirror images of each other
    results = {
        tuple(select_greedily(probs[list(order)], np.array([0, 1]), accuracy=False, rounds=1)[np.argsort(order)])
        for order in itertools.permutations(range(2))
    }
    assert len(results) == 1
