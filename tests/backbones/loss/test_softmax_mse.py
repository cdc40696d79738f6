"""Softmax-MSE: the published value with the published gradient."""

from __future__ import annotations

import pytest
import torch
from torch.nn import functional

from backbones.loss.softmax_mse import SoftmaxMSE

LABELS = torch.tensor([0, 6, 3, 2])


@pytest.fixture
def logits() -> torch.Tensor:
    """Four faces, seven classes."""
    return torch.randn(4, 7, generator=torch.Generator().manual_seed(0)).requires_grad_()


def test_value_is_the_squared_error_of_the_expected_label(logits: torch.Tensor) -> None:
    value = SoftmaxMSE(torch.ones(7))(logits, functional.one_hot(LABELS, 7))
    probabilities = logits.detach().softmax(dim=1)
    expected = [
        (sum(k * p[k].item() for k in range(7)) - y.item()) ** 2 for p, y in zip(probabilities, LABELS, strict=True)
    ]
    assert value.item() == pytest.approx(sum(expected) / 4, rel=1e-5)


def test_gradient_is_cross_entropys(logits: torch.Tensor) -> None:
    (gradient,) = torch.autograd.grad(SoftmaxMSE(torch.ones(7))(logits, functional.one_hot(LABELS, 7)), logits)
    (expected,) = torch.autograd.grad(functional.cross_entropy(logits, LABELS), logits)
    torch.testing.assert_close(gradient, expected)
    torch.testing.assert_close(gradient, (logits.softmax(dim=1) - functional.one_hot(LABELS, 7)) / 4)
