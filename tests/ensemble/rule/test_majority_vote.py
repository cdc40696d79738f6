"""The majority vote and its ties."""

import numpy as np
import pytest

from ensemble.rule.majority_vote import MajorityVote


def test_by_hand():
    probs = [[[0.5, 0.3, 0.2]], [[0.4, 0.3, 0.3]], [[0.0, 0.0, 1.0]]]
    np.testing.assert_array_equal(MajorityVote()(probs), [[2 / 3, 0.0, 1 / 3]])


@pytest.mark.parametrize(
    ("members", "winner"),
    [
        # Two votes each; class 1's voters are surer (0.75 against 0.6), though class 0 has more probability overall.
        ([[0.6, 0.4, 0.0], [0.6, 0.4, 0.0], [0.45, 0.55, 0.0], [0.0, 0.95, 0.05]], 1),
        # Non-voters do not count: class 0 has 0.5 from its voter, class 2 has 0.45, class 1 nothing from either.
        ([[0.5, 0.49, 0.01], [0.1, 0.45, 0.45 + 1e-9]], 0),
        # Equal in votes and belief: the first class.
        ([[0.2, 0.8], [0.8, 0.2]], 0),
        # Three-way tie.
        ([[0.6, 0.2, 0.2], [0.2, 0.7, 0.1], [0.15, 0.2, 0.65]], 1),
    ],
)
def test_tie_goes_to_the_surest_voters(members, winner):
    fused = MajorityVote()(np.array(members)[:, None, :] / np.sum(members, axis=1)[:, None, None])
    assert fused.argmax() == winner
    assert np.sort(fused[0])[-1] - np.sort(fused[0])[-2] > 5e-7
    np.testing.assert_allclose(fused.sum(), 1.0, atol=1e-12)
    shares = np.bincount(np.argmax(members, axis=1), minlength=fused.shape[1]) / len(members)
    np.testing.assert_allclose(fused[0], shares, atol=3e-6)
    assert fused.astype(np.float32).argmax() == winner


def test_without_a_tie_shares_are_exact():
    probs = np.random.default_rng(0).dirichlet(np.ones(2), size=(5, 100))
    shares = (probs.argmax(axis=2) == 1).mean(axis=0)
    np.testing.assert_allclose(MajorityVote()(probs)[:, 1], shares, rtol=0, atol=1e-15)
