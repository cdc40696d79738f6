"""The Brier loss against scikit-learn's score."""

from __future__ import annotations

import pytest
import torch
from sklearn.metrics import brier_score_loss

from backbones.loss.brier import Brier


def test_it_equals_scikit_learns_multiclass_score() -> None:
    torch.manual_seed(0)
    logits, labels = torch.randn(9, 3), torch.tensor([0, 1, 2] * 3)
    value = Brier(torch.ones(3))(logits, torch.eye(3)[labels])
    probabilities = logits.double().softmax(dim=1).numpy()
    expected = brier_score_loss(labels.numpy(), probabilities, labels=[0, 1, 2], scale_by_half=False)
    assert value.item() == pytest.approx(expected, rel=1e-5)
