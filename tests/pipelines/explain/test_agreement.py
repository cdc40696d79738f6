from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import spearmanr

from ensemble.committee import Committee
from ensemble.committee_spec import CommitteeNode
from pipelines.explain.agreement import blended, committee_weights, map_agreement, rank_correlation
from pipelines.explain.faces import choose_rows

RNG = np.random.default_rng(0)


def test_rank_correlation_is_scipys_where_both_maps_are_known() -> None:
    one, other = RNG.random((6, 6)), RNG.integers(0, 4, (6, 6)).astype(float)
    assert rank_correlation(one, other) == pytest.approx(spearmanr(one.ravel(), other.ravel()).statistic)
    hidden = one.copy()
    hidden[0] = np.nan
    assert rank_correlation(hidden, other) == pytest.approx(spearmanr(one[1:].ravel(), other[1:].ravel()).statistic)
    assert np.isnan(rank_correlation(one, np.ones((6, 6))))


def test_agreement_is_symmetric_and_leaves_flat_maps_out() -> None:
    maps = {"a": RNG.random((3, 4, 4)), "b": RNG.random((3, 4, 4)), "flat": np.zeros((3, 4, 4))}
    maps["b"][0] = 1.0
    matrix = map_agreement(maps)
    np.testing.assert_allclose(matrix, matrix.T)
    expected = np.mean([rank_correlation(maps["a"][i], maps["b"][i]) for i in (1, 2)])
    assert matrix[0, 1] == pytest.approx(expected)
    assert np.isnan(matrix[0, 2])


def simplex(count: int) -> np.ndarray:
    return RNG.dirichlet(np.ones(3), size=count)


def committee(rule: str) -> tuple[Committee, dict[str, np.ndarray]]:
    posteriors = {name: simplex(60) for name in "abc"}
    labels = posteriors["a"].argmax(axis=1)
    node = CommitteeNode(name="all", rule=rule, parameters={}, over=("a", "b", "c"))
    return Committee.fit(node, posteriors, labels, classes=("x", "y", "z")), posteriors


def test_weights_of_a_weighted_mean_are_the_fitted_ones() -> None:
    fitted, posteriors = committee("va_expo")
    known = fitted.to_json()["committee"]["learned"]["weights"]
    found = committee_weights(fitted, posteriors, [0] * 30 + [2] * 30)
    values = known if isinstance(known, dict) else dict(zip("abc", known, strict=True))
    for name in "abc":
        assert found[name] == pytest.approx(values[name], abs=1e-9)


@pytest.mark.parametrize("rule", ["stacking", "geometric_mean", "majority_vote", "median"])
def test_any_rule_has_weights(rule: str) -> None:
    fitted, posteriors = committee(rule)
    found = committee_weights(fitted, posteriors, list(posteriors["a"].argmax(axis=1)))
    assert sum(found.values()) == pytest.approx(1)
    assert min(found.values()) >= 0
    if rule == "stacking":
        assert found["a"] == max(found.values())  # it alone knows the labels


def test_blend_scales_maps_and_leaves_unseen_pixels_to_the_others() -> None:
    a, b = np.array([[[2.0, 4.0]]]), np.array([[[np.nan, -1.0]]])
    np.testing.assert_allclose(blended({"a": a, "b": b}, {"a": 0.5, "b": 0.5}), [[[0.5, 0.0]]])


def test_choices_are_of_their_kind_and_balanced() -> None:
    probs, labels = simplex(200), RNG.integers(0, 3, 200)
    sure, right = probs.max(axis=1), probs.argmax(axis=1) == labels
    mistakes = choose_rows(probs, labels, choice="mistakes", count=6)
    assert not right[mistakes].any()
    assert labels[mistakes].tolist() == [0, 0, 1, 1, 2, 2]
    assert sure[mistakes[0]] == max(sure[(labels == 0) & ~right])
    confident = choose_rows(probs, labels, choice="confident", count=3)
    assert right[confident].all()
    assert sure[confident[2]] == max(sure[(labels == 2) & right])
    assert sure[choose_rows(probs, labels, choice="uncertain", count=3)].max() < np.median(sure)
    first, again, other = (choose_rows(probs, labels, choice="random", count=5, seed=s) for s in (1, 1, 2))
    assert first == again != other
    perfect = np.eye(3)[labels]
    assert choose_rows(perfect, labels, choice="mistakes", count=5) == []
    assert len(choose_rows(probs, labels, choice="random", count=999)) == 200
