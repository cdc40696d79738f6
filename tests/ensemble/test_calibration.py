"""Reliability, coverage, risk and temperatures: by hand, against a grid and against the calibration error."""

import itertools

import numpy as np
import pytest

from ensemble.calibration import calibrated, coverage, cross_calibrated, least_area, reliability, risk_curve
from ensemble.fold import stratified_folds
from ensemble.metric import expected_calibration_error
from ensemble.rule.temperature import scaled


def test_bins_add_up_to_the_calibration_error():
    rng = np.random.default_rng(0)
    probs, labels = rng.dirichlet(np.ones(5), size=700), rng.integers(0, 5, 700)
    bins = reliability(probs, labels)
    assert sum(b.faces for b in bins) == 700
    error = sum(b.faces * abs(b.accuracy - b.confidence) for b in bins) / 700
    assert error == pytest.approx(expected_calibration_error(probs, labels), abs=1e-12)


def test_coverage_by_hand():
    probs = np.array([[0.95, 0.05], [0.7, 0.3], [0.45, 0.55]])
    rows = coverage(probs, np.array([0, 1, 1]), thresholds=(0.0, 0.6, 0.9, 0.99))
    assert [row.coverage for row in rows] == pytest.approx([1.0, 2 / 3, 1 / 3, 0.0])
    assert [row.accuracy for row in rows[:3]] == pytest.approx([2 / 3, 0.5, 1.0])
    assert np.isnan(rows[3].accuracy)


def test_a_temperature_changes_no_vote_even_where_rounding_makes_two_classes_one():
    near = np.array([[0.3, np.nextafter(0.3, 1.0), 0.4 - 1e-9, 1e-9], [0.3, np.nextafter(0.3, 1.0), 0.2, 0.2]])
    rng = np.random.default_rng(2)
    drawn = rng.dirichlet(np.full(4, 0.3), size=2000)
    for probs in (near / near.sum(axis=1, keepdims=True), near, drawn):
        for temperature in (0.05, 0.7, 3.0, 20.0):
            result = calibrated(probs, temperature)
            np.testing.assert_array_equal(result.argmax(axis=1), probs.argmax(axis=1))
            np.testing.assert_allclose(result.sum(axis=1), 1.0, atol=1e-12)
    assert calibrated(drawn, 1.0) is drawn
    assert (scaled(near[1:], 20.0)[0, :2] == scaled(near[1:], 20.0)[0, 0]).all()  # what the guard is there for


def test_temperatures_of_the_other_folds_against_a_grid():
    rng = np.random.default_rng(4)
    probs = rng.dirichlet(np.full(3, 0.5), size=90)
    labels = np.where(rng.random(90) < 0.5, probs.argmax(axis=1), rng.integers(0, 3, 90))
    fold, grid = stratified_folds(labels, folds=3, seed=6), np.geomspace(0.05, 20, 4001)
    result = cross_calibrated(probs, labels, folds=3, seed=6)
    for index in range(3):
        seen = np.flatnonzero(fold != index)
        powers = np.exp(np.log(probs[seen])[None] / grid[:, None, None])  # (grid, faces, classes)
        likelihood = powers[:, np.arange(len(seen)), labels[seen]] / powers.sum(axis=2)
        best = grid[np.log(likelihood).sum(axis=1).argmax()]
        np.testing.assert_allclose(result[fold == index], scaled(probs[fold == index], best), atol=2e-3)


def test_risk_and_its_area_by_hand():
    # By falling confidence: right, wrong, right, wrong; errors among the first 1, 2, 3, 4 faces: 0, 1, 1, 2.
    probs = np.array([[0.6, 0.4], [0.9, 0.1], [0.2, 0.8], [0.3, 0.7]])
    labels = np.array([1, 0, 0, 1])
    np.testing.assert_allclose(risk_curve(probs, labels), [0, 1 / 2, 1 / 3, 1 / 2])
    assert risk_curve(probs, labels).mean() == pytest.approx((0 + 1 / 2 + 1 / 3 + 1 / 2) / 4)
    assert least_area(2, 4) == pytest.approx((0 + 0 + 1 / 3 + 1 / 2) / 4)
    assert least_area(0, 4) == 0.0
    assert least_area(4, 4) == 1.0


def test_faces_of_one_confidence_share_their_errors():
    # The area is the mean of that over all orders of the four faces that are as sure as each other.
    probs = np.array([[0.9, 0.1], [0.7, 0.3], [0.3, 0.7], [0.7, 0.3], [0.7, 0.3]])
    labels = np.array([0, 0, 0, 1, 0])
    wrong = np.array([0, 0, 1, 1, 0])
    areas = []
    for order in itertools.permutations(range(1, 5)):
        errors = np.cumsum(wrong[[0, *order]])
        areas.append((errors / np.arange(1, 6)).mean())
    assert risk_curve(probs, labels).mean() == pytest.approx(np.mean(areas))
    shuffled = [3, 0, 4, 2, 1]
    np.testing.assert_array_equal(risk_curve(probs[shuffled], labels[shuffled]), risk_curve(probs, labels))


def test_no_confidence_beats_the_least_area():
    rng = np.random.default_rng(5)
    for _ in range(20):
        probs, labels = rng.dirichlet(np.ones(3), size=30), rng.integers(0, 3, 30)
        errors = int((probs.argmax(axis=1) != labels).sum())
        assert least_area(errors, 30) <= risk_curve(probs, labels).mean() + 1e-12
