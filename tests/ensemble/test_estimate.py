"""Fitted against nested accuracy."""

import dataclasses
import time

import numpy as np
import pytest

from backbones.errors import InputError
from ensemble.committee import Committee
from ensemble.committee_spec import resolve_committee
from ensemble.estimate import OutOfFold, estimate, nested_probs
from ensemble.metric import accuracy, nll


def members(seed, count, faces, skill):
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, 7, faces)
    scores = np.exp(skill * np.eye(7)[labels] + rng.normal(size=(count, faces, 7)))
    probs = scores / scores.sum(axis=2, keepdims=True)
    return {f"m{i}": p for i, p in enumerate(probs)}, labels


def node(posteriors, **tree):
    return resolve_committee(tree, {name: [] for name in posteriors})


def test_rule_that_learns_nothing_has_no_optimism():
    posteriors, labels = members(0, 3, 100, 1.0)
    row = estimate(node(posteriors, rule="mean"), posteriors, labels)
    assert row.optimism == 0.0
    assert row.fitted_nll == row.nll
    assert (row.name, row.rule, row.faces) == ("all", "mean", 100)


def test_search_over_guesses_looks_better_than_it_is():
    # Ten members that guess: what the fit gains is luck, and cross-fitting does not repeat it.
    rows = [estimate(node(p, rule="va_expo"), p, y) for p, y in (members(s, 10, 150, 0.2) for s in range(4))]
    assert np.mean([row.optimism for row in rows]) > 0.01


def test_row_agrees_with_the_metrics():
    posteriors, labels = members(1, 3, 200, 1.0)
    tree = node(posteriors)
    row, nested = estimate(tree, posteriors, labels, seed=4), nested_probs(tree, posteriors, labels, seed=4)
    assert row.nested_accuracy == accuracy(nested, labels)
    assert row.nll == nll(nested, labels)
    assert row.nested_interval[0] < row.nested_accuracy < row.nested_interval[1]
    assert row.optimism == row.fitted_accuracy - row.nested_accuracy
    np.testing.assert_allclose(nested.sum(axis=1), 1.0, atol=1e-12)


def test_faces_that_are_all_wrong_leave_an_interval():
    posteriors = {"a": np.tile([0.1, 0.9], (12, 1))}
    low, high = estimate(node(posteriors, rule="mean"), posteriors, np.zeros(12, dtype=np.int64)).nested_interval
    assert low == 0.0
    assert 0.2 < high < 0.3


def test_is_deterministic():
    posteriors, labels = members(2, 3, 150, 0.8)
    tree = node(posteriors, over=[{"rule": "va_expo", "members": ["m0", "m1"]}, "m2"])
    first, second = (dataclasses.asdict(estimate(tree, posteriors, labels)) for _ in range(2))
    assert first == second


def test_is_fast_enough_for_a_table():
    posteriors, labels = members(3, 5, 3579, 1.0)
    start = time.process_time()
    estimate(node(posteriors, rule="va_expo"), posteriors, labels)
    assert (
        time.process_time() - start < 10.0
    )  # processor seconds, summed over threads: about 1 when the machine is idle


def test_missing_member():
    posteriors, labels = members(4, 2, 20, 1.0)
    with pytest.raises(InputError, match="Expected probabilities of m1, but got only m0"):
        nested_probs(node(posteriors), {"m0": posteriors["m0"]}, labels)


def test_the_temperature_is_that_of_held_out_faces():
    # A matrix for each of six members, learned from 60 faces: as sure of them as it is wrong about others.
    posteriors, labels = members(5, 6, 60, 0.5)
    tree = node(posteriors, rule="stacking", l2=1e-4)
    row = estimate(tree, posteriors, labels)
    nested = nested_probs(tree, posteriors, labels)
    fitted = Committee.fit(tree, posteriors, labels)(posteriors)
    grid = np.geomspace(0.05, 20, 4001)

    def best(probs):
        logs = np.log(np.maximum(probs, 1e-12))
        return min(grid, key=lambda t: nll(np.exp(logs / t) / np.exp(logs / t).sum(axis=1, keepdims=True), labels))

    assert row.temperature == pytest.approx(best(nested), rel=2e-3)
    assert row.temperature > best(fitted) + 0.5


def test_a_tree_that_ends_in_a_temperature_gets_no_other():
    posteriors, labels = members(6, 3, 200, 1.0)
    assert estimate(node(posteriors, rule="mean", calibrate=["fused"]), posteriors, labels).temperature == 1.0
    for tree in ({"rule": "mean", "calibrate": ["members"]}, {"rule": "temperature"}):
        assert estimate(node(posteriors, **tree), posteriors, labels).temperature not in (None, 1.0)


@pytest.mark.parametrize(
    "tree", [{"rule": "va_expo"}, {"over": [{"rule": "va_expo", "members": ["m0", "m1"]}, "m2"]}, {"rule": "mean"}]
)
def test_rules_fitted_on_other_faces_are_judged_on_all_of_these(tree):
    posteriors, labels = members(5, 3, 200, 1.0)
    seen = OutOfFold(**dict(zip(("posteriors", "labels"), members(6, 3, 500, 1.0), strict=True)))
    resolved = node(posteriors, **tree)
    committee = Committee.fit(resolved, seen.posteriors, seen.labels, seed=4)
    row = estimate(resolved, posteriors, labels, seed=4, fit_on=seen)
    held_out = nested_probs(resolved, posteriors, labels, seed=4, fit_on=seen)
    np.testing.assert_array_equal(held_out, committee(posteriors))
    assert row.nested_accuracy == accuracy(committee(posteriors), labels)
    assert row.nll == nll(committee(posteriors), labels)
    assert row.fitted_accuracy == accuracy(committee(seen.posteriors), seen.labels)
    assert row.fitted_nll == nll(committee(seen.posteriors), seen.labels)
    assert (row.faces, row.fit_faces) == (200, 500)


def test_labels_of_the_judged_faces_do_not_reach_a_fit_on_other_faces():
    posteriors, labels = members(7, 3, 60, 1.0)
    seen = OutOfFold(**dict(zip(("posteriors", "labels"), members(8, 3, 300, 1.0), strict=True)))
    turned = (labels + 1) % 7
    both = [nested_probs(node(posteriors), posteriors, y, fit_on=seen) for y in (labels, turned)]
    np.testing.assert_array_equal(*both)
    assert not np.array_equal(*(nested_probs(node(posteriors), posteriors, y) for y in (labels, turned)))


def test_a_member_that_is_missing_out_of_fold():
    posteriors, labels = members(4, 2, 20, 1.0)
    seen = OutOfFold(posteriors={"m1": posteriors["m1"]}, labels=labels)
    with pytest.raises(InputError, match="Expected probabilities of m0, but got only m1"):
        estimate(node(posteriors), posteriors, labels, fit_on=seen)


def test_a_temperature_fitted_on_other_faces_is_corrected_on_these():
    posteriors, labels = members(9, 3, 400, 1.0)
    sharper = {name: p**3 / (p**3).sum(axis=1, keepdims=True) for name, p in members(10, 3, 400, 1.0)[0].items()}
    seen = OutOfFold(posteriors=sharper, labels=members(10, 3, 400, 1.0)[1])
    tree = node(posteriors, rule="mean", calibrate=["fused"])
    assert estimate(tree, posteriors, labels, fit_on=seen).temperature not in (None, 1.0)
