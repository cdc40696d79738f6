"""Stochastic pooling: how often a cell is drawn, what evaluation makes of it, and where the gradient goes."""

from __future__ import annotations

import pytest
import torch

from backbones.layer.stochastic_pool import StochasticPool2d

WINDOW = torch.tensor([[1.0, 2.0], [0.0, 5.0]])


def test_a_cell_is_drawn_in_proportion_to_its_activation() -> None:
    torch.manual_seed(0)
    drawn = StochasticPool2d().train()(WINDOW.expand(40_000, 1, 2, 2).clone()).flatten()
    shares = [(drawn == value).float().mean().item() for value in (1.0, 2.0, 0.0, 5.0)]
    assert shares == pytest.approx([1 / 8, 2 / 8, 0.0, 5 / 8], abs=0.01)
    assert shares[2] == 0


def test_evaluation_is_the_mean_under_the_same_probabilities() -> None:
    x = torch.rand(3, 4, 6, 8)
    cells = x.reshape(3, 4, 3, 2, 4, 2)
    expected = cells.square().sum((3, 5)) / cells.sum((3, 5))
    torch.testing.assert_close(StochasticPool2d().eval()(x), expected)


def test_training_averages_to_evaluation() -> None:
    torch.manual_seed(0)
    x = torch.rand(1, 1, 4, 4)
    mean = StochasticPool2d().train()(x.expand(40_000, 1, 4, 4).clone()).mean(0, keepdim=True)
    torch.testing.assert_close(mean, StochasticPool2d().eval()(x), atol=0.01, rtol=0)


@pytest.mark.parametrize("training", [True, False])
def test_a_window_of_zeros_gives_zero(training: bool) -> None:
    x = torch.zeros(2, 3, 4, 4, requires_grad=True)
    y = StochasticPool2d().train(training)(x)
    y.sum().backward()
    assert torch.equal(y, torch.zeros(2, 3, 2, 2))
    assert x.grad is not None
    assert x.grad.isfinite().all()


@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
def test_gradient_flows_to_the_drawn_cell_alone(layout: torch.memory_format) -> None:
    x = torch.rand(2, 3, 6, 6).contiguous(memory_format=layout).requires_grad_()
    y = StochasticPool2d().train()(x)
    weight = torch.rand_like(y)
    (y * weight).sum().backward()
    assert x.grad is not None
    windows = x.grad.reshape(2, 3, 3, 2, 3, 2).permute(0, 1, 2, 4, 3, 5).flatten(4)
    values = x.detach().reshape(2, 3, 3, 2, 3, 2).permute(0, 1, 2, 4, 3, 5).flatten(4)
    assert ((windows != 0).sum(-1) == 1).all()
    torch.testing.assert_close(windows.sum(-1), weight)
    torch.testing.assert_close(values.gather(-1, windows.argmax(-1, keepdim=True)).squeeze(-1), y.detach())
    assert y.is_contiguous(memory_format=layout)


@pytest.mark.parametrize("training", [True, False])
def test_an_odd_last_row_and_column_are_dropped(training: bool) -> None:
    x = torch.rand(1, 1, 5, 7)
    pool = StochasticPool2d().train(training)
    torch.manual_seed(2)
    odd = pool(x)
    torch.manual_seed(2)
    assert torch.equal(odd, pool(x[:, :, :4, :6].contiguous()))


def test_draws_come_from_the_global_generator() -> None:
    x = torch.rand(1, 2, 8, 8)
    pool = StochasticPool2d().train()
    torch.manual_seed(3)
    first, second = pool(x), pool(x)
    torch.manual_seed(3)
    assert torch.equal(pool(x), first)
    assert not torch.equal(first, second)
