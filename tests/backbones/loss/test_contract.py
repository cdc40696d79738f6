"""What every loss promises."""

from __future__ import annotations

import pytest
import torch

from backbones.registry import LOSSES

COUNTS = torch.tensor([5, 20, 1, 40])


@pytest.mark.parametrize("name", LOSSES.names())
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_a_scalar_with_a_finite_gradient(name: str, dtype: torch.dtype) -> None:
    torch.manual_seed(0)
    loss = LOSSES.build(name, COUNTS)
    logits = (50 * torch.randn(6, 4, dtype=dtype)).requires_grad_()
    value = loss(logits, torch.rand(6, 4).softmax(dim=1))
    value.backward()
    assert value.shape == ()
    assert value.dtype == dtype
    assert logits.grad is not None
    assert logits.grad.isfinite().all()
    assert logits.grad.abs().sum() > 0


@pytest.mark.parametrize("name", LOSSES.names())
def test_no_state_is_saved(name: str) -> None:
    assert LOSSES.build(name, COUNTS).state_dict() == {}


@pytest.mark.parametrize("name", LOSSES.names())
def test_the_truth_costs_less_than_a_mistake(name: str) -> None:
    loss = LOSSES.build(name, COUNTS)
    target = torch.eye(4)[[2]]
    assert loss(20 * target, target) < loss(20 * torch.eye(4)[[0]], target)
