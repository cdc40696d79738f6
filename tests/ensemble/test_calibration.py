"""Reliability bins and coverage, by hand and against the calibration error."""

import numpy as np
import pytest

from ensemble.calibration import coverage, reliability
from ensemble.metric import expected_calibration_error


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
