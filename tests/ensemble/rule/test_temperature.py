"""Temperatures, against a grid and by hand."""

import numpy as np
import pytest
from scipy.optimize import minimize_scalar

from ensemble.committee import Committee
from ensemble.committee_spec import resolve_committee
from ensemble.rule.temperature import best_temperature, scaled


def overconfident(true_temperature, faces=4000, seed=0):
    """Probabilities whose labels were drawn at a known temperature."""
    rng = np.random.default_rng(seed)
    logits = rng.normal(size=(faces, 4)) * 2.0
    honest = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    labels = (rng.random(faces)[:, None] > honest.cumsum(axis=1)).sum(axis=1)
    return scaled(honest, 1.0 / true_temperature), labels


def test_scaling_by_hand():
    np.testing.assert_allclose(scaled(np.array([[0.8, 0.2]]), 0.5), [[0.64 / 0.68, 0.04 / 0.68]])


@pytest.mark.parametrize("temperature", [0.5, 1.0, 2.5])
def test_the_true_temperature_is_found(temperature):
    probs, labels = overconfident(temperature)
    assert best_temperature(probs, labels) == pytest.approx(temperature, rel=0.06)


def test_no_temperature_of_a_grid_is_better():
    probs, labels = overconfident(1.7, faces=200, seed=3)

    def loss(t):
        return -np.log(scaled(probs, t)[np.arange(200), labels]).mean()

    assert loss(best_temperature(probs, labels)) <= min(loss(t) for t in np.geomspace(0.05, 20, 500)) + 1e-9


def test_calibrate_puts_temperatures_before_and_after():
    first, labels = overconfident(3.0, faces=600)
    posteriors = {"a": first, "b": scaled(first, 2.0)}
    members = {"a": ["g"], "b": ["g"]}
    tree = {"rule": "mean", "calibrate": ["members", "fused"]}
    node = resolve_committee(tree, members)
    assert [inner.rule for inner in node.walk()] == ["temperature", "mean", "temperature", "temperature"]
    assert node.members == ("a", "b")
    committee = Committee.fit(node, posteriors, labels, classes=("w", "x", "y", "z"))
    plain = Committee.fit(
        resolve_committee({"rule": "mean"}, members), posteriors, labels, classes=("w", "x", "y", "z")
    )
    rows = np.arange(600)
    assert -np.log(committee(posteriors)[rows, labels]).mean() < -np.log(plain(posteriors)[rows, labels]).mean() - 0.1
    copy = Committee.from_json(committee.to_json())
    np.testing.assert_array_equal(copy(posteriors), committee(posteriors))


@pytest.mark.parametrize(("temperature", "faces"), [(0.4, 300), (1.0, 40), (3.0, 2000), (40.0, 500)])
def test_newtons_method_ends_where_a_bounded_search_does(temperature, faces):
    probs, labels = overconfident(temperature, faces=faces, seed=7)

    def loss(inverse):
        return -np.log(scaled(probs, 1 / inverse)[np.arange(faces), labels]).mean()

    found = minimize_scalar(loss, bounds=(0.05, 20.0), method="bounded", options={"xatol": 1e-10})
    assert 1 / best_temperature(probs, labels) == pytest.approx(found.x, rel=1e-4)


@pytest.mark.parametrize(
    ("probs", "labels", "temperature"),
    [
        # Right 3 times in 4, so the odds are to be 3: (0.9 / 0.1) ** (1 / T) = 3.
        ([[0.9, 0.1]] * 4, [0, 0, 0, 1], 2.0),
        ([[0.5, 0.5]] * 3, [0, 1, 1], 1.0),  # every temperature does as well
        ([[0.6, 0.4]] * 3, [0, 0, 0], 0.05),  # always right: as sure as can be
        ([[0.6, 0.4]] * 3, [1, 1, 1], 20.0),  # always wrong: as unsure as can be
    ],
)
def test_temperatures_by_hand(probs, labels, temperature):
    assert best_temperature(np.array(probs), np.array(labels)) == pytest.approx(temperature, rel=1e-9)
