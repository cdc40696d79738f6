"""The search for the exponent, against a search that fuses everything."""

import numpy as np
import pytest

from backbones.errors import InputError
from ensemble.rule.va_expo import VAExpo, count_correct, power_weights


def noisy_members(seed, members=4, faces=300, classes=7):
    """Members of different skill that share some of their errors."""
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, classes, faces)
    skill = rng.uniform(0.3, 2.0, members)[:, None, None]
    scores = skill * np.eye(classes)[labels] + rng.normal(size=(faces, classes)) + rng.normal(size=(members, faces, 1))
    scores = np.exp(scores + rng.normal(size=(members, faces, classes)))
    return scores / scores.sum(axis=2, keepdims=True), labels


def brute_force(probs, labels):
    """Kim et al.'s search as written: all faces fused for every exponent; the first best one."""
    accuracies = [(p.argmax(axis=1) == labels).mean() for p in probs]
    best, best_q = -1, None
    for q in [i / 10 for i in range(-500, 1501)]:
        powers = np.array([a**q for a in accuracies])
        fused = sum(w * p for w, p in zip(powers / powers.sum(), probs, strict=True))
        hits = (fused.argmax(axis=1) == labels).sum()
        if hits > best:
            best, best_q = hits, q
    return best_q, best


@pytest.mark.parametrize("seed", range(4))
def test_finds_the_exponent_of_the_exhaustive_search(seed):
    probs, labels = noisy_members(seed)
    rule = VAExpo().fit(probs, labels)
    exponent, hits = brute_force(probs, labels)
    assert rule.exponent_ == exponent
    assert (rule(probs).argmax(axis=1) == labels).sum() == hits


def test_counts_equal_fusing_under_any_weights():
    probs, labels = noisy_members(7, members=6)
    weights = np.random.default_rng(0).dirichlet(np.full(6, 0.3), size=137)  # neighbours are not alike
    expected = [(np.tensordot(w, probs, axes=1).argmax(axis=1) == labels).sum() for w in weights]
    np.testing.assert_array_equal(count_correct(probs, labels, weights), expected)


def test_exact_ties_go_to_the_lower_class():
    probs = np.array([[[0.7, 0.3]], [[0.3, 0.7]]])
    weights = np.array([[0.5, 0.5]])
    assert count_correct(probs, np.array([0]), weights).tolist() == [1]
    assert count_correct(probs, np.array([1]), weights).tolist() == [0]


def test_grid_is_the_papers():
    exponents = VAExpo().exponents
    assert len(exponents) == 2001
    assert exponents[[0, 1, 500, 2000]].tolist() == [-50.0, -49.9, 0.0, 150.0]


def test_by_hand():
    # Member 0 is right on 3 of 4 faces, member 1 on 2. Where they differ, each needs more weight than the other:
    # on faces 1 and 2 member 0 is right by 0.2 against 0.4, so w_0 must exceed 2/3, which 1.5^q > 2 grants: q > 1.7095.
    # On face 3, which member 1 alone has right, it needs w_1 > 0.75.
    yes, weak, no = [0.9, 0.1], [0.6, 0.4], [0.3, 0.7]
    probs = np.array([[yes, weak, weak, [0.2, 0.8]], [yes, no, no, weak]])
    rule = VAExpo().fit(probs, [0, 0, 0, 0])
    assert rule.accuracies_.tolist() == [0.75, 0.5]
    assert rule.exponent_ == 1.8
    np.testing.assert_allclose(rule.weights_[0] / rule.weights_[1], 1.5**1.8, atol=1e-12)


def test_equal_accuracies_take_the_first_exponent():
    probs, labels = np.array([[[0.9, 0.1]], [[0.8, 0.2]]]), [0]
    rule = VAExpo().fit(probs, labels)
    assert rule.exponent_ == -50.0
    assert rule.weights_.tolist() == [0.5, 0.5]


def test_member_that_is_never_right_has_finite_weight():
    probs, labels = noisy_members(3, members=2)
    hopeless = np.roll(np.eye(7)[labels], 1, axis=1)
    rule = VAExpo().fit(np.stack([*probs, hopeless]), labels)
    assert rule.accuracies_[2] == 0.0
    assert np.isfinite(rule.weights_).all()
    assert rule.weights_[2] < 0.1


def test_weights_do_not_overflow():
    weights = power_weights(np.array([1.0, 1e-9]), np.array([-50.0, 150.0]))
    np.testing.assert_allclose(weights, [[0.0, 1.0], [1.0, 0.0]], atol=1e-12)


def test_a_grid_that_runs_backwards_is_refused():
    with pytest.raises(InputError, match=r"Expected `low` to be at most `high`.*but got 3.0 to 1.0 by 0.1\."):
        VAExpo(low=3.0, high=1.0)
