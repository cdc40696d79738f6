"""Cross-entropy plus squared error: its gradient, numerically and by the formula."""

from __future__ import annotations

import torch
from torch.nn import functional

from backbones.loss.ce_expected_mse import CEExpectedMSE


def _case() -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    logits = torch.randn(3, 5, generator=generator, dtype=torch.float64).requires_grad_()
    return logits, functional.one_hot(torch.tensor([4, 0, 2]), 5).double()


def test_gradient_numerically() -> None:
    logits, targets = _case()
    loss = CEExpectedMSE(torch.ones(5), weight=0.7)
    assert torch.autograd.gradcheck(lambda x: loss(x, targets), logits)


def test_gradient_of_the_error_by_its_formula() -> None:
    logits, targets = _case()
    loss = CEExpectedMSE(torch.ones(5), weight=1.0)(logits, targets) - functional.cross_entropy(logits, targets)
    (gradient,) = torch.autograd.grad(loss, logits)
    p, i = logits.detach().softmax(dim=1), torch.arange(5.0, dtype=torch.float64)
    e, y = (p * i).sum(1, keepdim=True), (targets * i).sum(1, keepdim=True)
    torch.testing.assert_close(gradient, 2 * (e - y) * p * (i - e) / 3)


def test_weight_zero_is_cross_entropy() -> None:
    logits, targets = _case()
    value = CEExpectedMSE(torch.ones(5), weight=0.0)(logits, targets)
    torch.testing.assert_close(value, functional.cross_entropy(logits, targets))
