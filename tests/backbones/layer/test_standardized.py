from __future__ import annotations

import numpy as np
import pytest
import torch

from backbones.layer.standardized import Standardized


@pytest.mark.parametrize("scale", [1e-6, 1.0, 1e4])
def test_features_come_to_one_scale_whatever_theirs(scale: float) -> None:
    torch.manual_seed(0)
    x = scale * (torch.randn(4096, 3) * torch.tensor([1.0, 0.3, 2.0]) + torch.tensor([5.0, 0.0, -1.0]))
    y = Standardized(3)(x)
    np.testing.assert_allclose(y.mean(dim=0), np.zeros(3), atol=1e-4)
    np.testing.assert_allclose(y.std(dim=0), np.ones(3), atol=2e-2)


def test_running_statistics_are_those_of_batch_normalisation() -> None:
    torch.manual_seed(0)
    ours, theirs = Standardized(5), torch.nn.BatchNorm1d(5, affine=False)
    for _ in range(4):
        x = torch.randn(16, 5) * 3 + 1
        ours(x), theirs(x)
    np.testing.assert_allclose(ours.running_mean, theirs.running_mean, rtol=1e-5)
    np.testing.assert_allclose(ours.running_var, theirs.running_var, rtol=1e-5)
    ours.eval(), theirs.eval()
    np.testing.assert_allclose(ours(x), theirs(x), atol=2e-3)  # their epsilons differ


def test_a_feature_that_hardly_differs_stays_small_while_the_backbone_moves_it() -> None:
    """Else what the head sees after training has nothing to do with what it saw in it."""
    torch.manual_seed(0)
    layer, drift = Standardized(2), 0.0
    for _ in range(50):
        drift += 1e-3  # of a step, a thousand times the feature's own deviation
        x = torch.stack([torch.randn(32), 3 + drift + 1e-6 * torch.randn(32)], dim=1)
        seen = layer(x)
    layer.eval()
    assert seen[:, 1].abs().max() < 0.01
    assert layer(x)[:, 1].abs().max() < 2


def test_a_single_face_cannot_be_standardised_in_training() -> None:
    with pytest.raises(ValueError, match="more than 1 value"):
        Standardized(2)(torch.zeros(1, 2))
