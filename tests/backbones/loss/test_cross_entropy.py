"""Cross-entropy against PyTorch's, class weights against scikit-learn's."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from sklearn.utils.class_weight import compute_class_weight
from torch.nn import functional

from backbones.errors import InputError
from backbones.loss.cross_entropy import CrossEntropy

COUNTS = torch.tensor([5, 20, 1, 40])
LABELS = torch.tensor([0, 3, 3, 1, 2, 0, 3, 1])


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
@pytest.mark.parametrize("weights", ["none", "balanced", [0.5, 1.0, 2.0, 3.0]])
def test_one_hot_targets_equal_pytorchs_class_indices(smoothing: float, weights: str | list[float]) -> None:
    torch.manual_seed(0)
    logits = torch.randn(8, 4)
    loss = CrossEntropy(COUNTS, smoothing=smoothing, class_weights=weights)
    expected = functional.cross_entropy(logits, LABELS, weight=loss.weights, label_smoothing=smoothing)
    torch.testing.assert_close(loss(logits, functional.one_hot(LABELS, 4)), expected)


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_distributions_equal_pytorchs_probabilities(smoothing: float) -> None:
    torch.manual_seed(0)
    logits, targets = torch.randn(8, 4), torch.randn(8, 4).softmax(dim=1)
    expected = functional.cross_entropy(logits, targets, label_smoothing=smoothing)
    torch.testing.assert_close(CrossEntropy(COUNTS, smoothing=smoothing)(logits, targets), expected)


def test_balanced_weights_equal_scikit_learns() -> None:
    labels = np.repeat(np.arange(4), COUNTS.numpy())
    expected = compute_class_weight("balanced", classes=np.arange(4), y=labels)
    weights = CrossEntropy(COUNTS, class_weights="balanced").weights
    np.testing.assert_allclose(weights.numpy(), expected, rtol=1e-6)


def test_a_class_without_faces_keeps_a_finite_weight() -> None:
    assert CrossEntropy(torch.tensor([0, 4]), class_weights="balanced").weights.tolist() == [2.0, 0.5]


def test_another_number_of_weights_is_refused() -> None:
    message = r"Expected `class_weights` to hold 4 weights, one per class, but got 2\."
    with pytest.raises(InputError, match=message):
        CrossEntropy(COUNTS, class_weights=[1.0, 2.0])
