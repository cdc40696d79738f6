"""Fractional max pooling: the drawn regions, the maxima over them, and where the gradient goes."""

from __future__ import annotations

import itertools
import math
from collections import Counter
from fractions import Fraction
from typing import Literal

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from backbones.errors import InputError
from backbones.layer import fractional_pool
from backbones.layer.fractional_pool import FractionalMaxPool2d, draw_steps, fractional_size

Order = Literal["random", "pseudo"]
ORDERS: tuple[Order, ...] = ("random", "pseudo")


def _reference(x: Tensor, rows: list[int], columns: list[int], *, overlapping: bool) -> Tensor:
    """The paper's regions one by one; `rows` and `columns` are the sequences a and b from 0 on."""
    y = x.new_empty((*x.shape[:2], len(rows) - 1, len(columns) - 1))
    for i in range(len(rows) - 1):
        for j in range(len(columns) - 1):
            below, beside = rows[i + 1] + overlapping, columns[j + 1] + overlapping
            y[:, :, i, j] = x[:, :, rows[i] : below, columns[j] : beside].amax((2, 3))
    return y


def _cuts(total: int, count: int, order: Order) -> list[int]:
    return [0, *draw_steps(total, count, order=order).cumsum(0).tolist()]


@settings(max_examples=200, deadline=None)
@given(size=st.integers(2, 60), ratio=st.floats(1.01, 1.99), order=st.sampled_from(ORDERS), overlapping=st.booleans())
def test_steps_are_ones_and_twos_that_cover_the_side(size: int, ratio: float, order: Order, overlapping: bool) -> None:
    count = fractional_size(size, ratio=ratio, overlapping=overlapping)
    steps = draw_steps(size - overlapping, count, order=order)
    assert len(steps) == count
    assert set(steps.tolist()) <= {1, 2}
    assert steps.sum() == size - overlapping


@settings(max_examples=100, deadline=None)
@given(size=st.integers(3, 200), percent=st.integers(101, 199))
def test_side_is_the_rounded_down_quotient_unless_disjoint_regions_cannot_cover_it(size: int, percent: int) -> None:
    rounded = 100 * size // percent
    assert fractional_size(size, ratio=percent / 100, overlapping=True) == rounded
    assert fractional_size(size, ratio=percent / 100, overlapping=False) == max(rounded, math.ceil(size / 2))


def test_rounding_errors_cost_no_cell() -> None:
    assert math.floor(33 / 1.1) == 29
    assert fractional_size(33, ratio=1.1, overlapping=True) == 30


@pytest.mark.parametrize("total", [4, 5])
def test_every_order_of_ones_and_twos_is_equally_likely(total: int) -> None:
    torch.manual_seed(0)
    seen = Counter(tuple(draw_steps(total, 3, order="random").tolist()) for _ in range(900))
    assert len(seen) == 3
    assert min(seen.values()) > 240


def test_pseudo_steps_are_the_papers_formula() -> None:
    for total, count in ((47, 33), (48, 33), (9, 5), (2, 1)):
        seed = torch.Generator().manual_seed(total)
        steps = draw_steps(total, count, order="pseudo", generator=seed)
        u = Fraction(int(torch.randint(1, 2**24, (), generator=seed.manual_seed(total))), 2**24)
        alpha = Fraction(total, count)
        cuts = [math.ceil(alpha * (i + u)) for i in range(count + 1)]
        assert steps.tolist() == [after - before for before, after in itertools.pairwise(cuts)]


@pytest.mark.parametrize("overlapping", [True, False])
@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
def test_maxima_are_those_of_the_regions(order: Order, overlapping: bool, layout: torch.memory_format) -> None:
    x = torch.randn(3, 2, 13, 18).contiguous(memory_format=layout)
    pool = FractionalMaxPool2d(1.5, order=order, overlapping=overlapping)
    torch.manual_seed(4)
    y = pool(x)
    torch.manual_seed(4)
    rows = _cuts(13 - overlapping, 8, order)
    columns = _cuts(18 - overlapping, 12, order)
    assert torch.equal(y, _reference(x, rows, columns, overlapping=overlapping))
    assert y.is_contiguous(memory_format=layout)


@pytest.mark.parametrize("overlapping", [True, False])
def test_a_batch_is_pooled_in_parts_without_a_difference(overlapping: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    x = torch.randn(5, 3, 9, 9, requires_grad=True)
    pool = FractionalMaxPool2d(overlapping=overlapping).eval()
    whole = pool(x)
    (expected,) = torch.autograd.grad(whole.square().sum(), x)
    monkeypatch.setattr(fractional_pool, "_CHUNK", 2 * 3 * 9 * 9)  # two faces at a time
    parts = pool(x)
    (gradient,) = torch.autograd.grad(parts.square().sum(), x)
    assert torch.equal(parts, whole)
    assert torch.equal(gradient, expected)


def test_training_draws_from_the_global_generator_and_eval_is_frozen() -> None:
    x = torch.randn(1, 2, 24, 24)
    pool = FractionalMaxPool2d()
    torch.manual_seed(1)
    first, second = pool(x), pool(x)
    assert not torch.equal(first, second)
    torch.manual_seed(1)
    assert torch.equal(pool(x), first)

    before = torch.get_rng_state()
    frozen = pool.eval()(x)
    assert torch.equal(torch.get_rng_state(), before)
    assert torch.equal(frozen, FractionalMaxPool2d().eval()(x))
    assert not pool.state_dict()


@pytest.mark.parametrize("overlapping", [True, False])
def test_gradient_is_right_and_reaches_the_maxima_alone(overlapping: bool) -> None:
    pool = FractionalMaxPool2d(overlapping=overlapping).eval()
    x = torch.randn(2, 2, 7, 8, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(pool, x)
    y = pool(x)
    (gradient,) = torch.autograd.grad(y.sum(), x)
    assert torch.equal(x.detach()[gradient > 0].unique(), y.detach().unique())
    assert gradient.sum() == y.numel()


@pytest.mark.parametrize("overlapping", [True, False])
def test_of_equal_cells_one_gets_the_gradient(overlapping: bool) -> None:
    x = torch.zeros(1, 1, 12, 12, requires_grad=True)
    y = FractionalMaxPool2d(overlapping=overlapping)(x)
    (gradient,) = torch.autograd.grad(y.sum(), x)
    assert gradient.sum() == y.numel()
    assert set(gradient.unique().tolist()) <= ({0.0, 1.0, 2.0, 4.0} if overlapping else {0.0, 1.0})


@pytest.mark.parametrize("ratio", [1.0, 2.0])
def test_ratio_out_of_bounds_is_refused(ratio: float) -> None:
    with pytest.raises(InputError, match=rf"Expected `ratio` to be above 1 and below 2, but got {ratio}"):
        FractionalMaxPool2d(ratio)


@pytest.mark.parametrize("order", ["random", "pseudo"])
@pytest.mark.parametrize("overlapping", [True, False])
def test_fixed_regions_are_those_of_eval_mode(order: str, overlapping: bool) -> None:
    pool = FractionalMaxPool2d(1.4, order=order, overlapping=overlapping).eval()
    x = torch.randn(2, 3, 17, 22, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(pool.fixed(17, 22)(x), pool(x), rtol=0, atol=0)
