"""The arithmetic mean."""

import numpy as np

from ensemble.rule.mean import Mean


def test_by_hand():
    probs = [[[0.6, 0.3, 0.1]], [[0.2, 0.2, 0.6]]]
    np.testing.assert_allclose(Mean()(probs), [[0.4, 0.25, 0.35]], atol=1e-15)
