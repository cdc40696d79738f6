"""The median per class."""

import numpy as np

from ensemble.rule.median import Median


def test_by_hand():
    # Medians 0.5, 0.3, 0.1 sum to 0.9.
    probs = [[[0.6, 0.3, 0.1]], [[0.5, 0.4, 0.1]], [[0.0, 0.0, 1.0]]]
    np.testing.assert_allclose(Median()(probs), [[5 / 9, 3 / 9, 1 / 9]], atol=1e-15)


def test_certain_members_without_agreement_fall_back_to_the_mean():
    np.testing.assert_allclose(Median()(np.eye(3)[:, None, :]), [[1 / 3, 1 / 3, 1 / 3]], atol=1e-15)
