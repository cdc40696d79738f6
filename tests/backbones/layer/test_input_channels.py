"""Kernels and constants between grey and RGB."""

from __future__ import annotations

import pytest
import torch
from torch.nn import functional

from backbones.layer.input_channels import adapt_kernel, normalization_for


@pytest.mark.parametrize(("given", "wanted"), [(1, 3), (3, 1)])
def test_a_grey_image_keeps_its_response(given: int, wanted: int) -> None:
    kernel = torch.randn(4, given, 3, 3)
    grey = torch.randn(2, 1, 8, 8)
    before = functional.conv2d(grey.expand(-1, given, -1, -1), kernel)
    after = functional.conv2d(grey.expand(-1, wanted, -1, -1), adapt_kernel(kernel, wanted))
    torch.testing.assert_close(after, before)


def test_a_fitting_kernel_is_returned_as_it_is() -> None:
    kernel = torch.randn(4, 3, 3, 3)
    assert adapt_kernel(kernel, 3) is kernel


def test_grey_takes_the_average_constants() -> None:
    grey = normalization_for((0.2, 0.4, 0.6), (0.1, 0.1, 0.4), 1)
    assert grey.mean == pytest.approx((102.0,))
    assert grey.std == pytest.approx((51.0,))
    assert normalization_for((0.2, 0.4, 0.6), (0.1, 0.1, 0.4), 3).mean == pytest.approx((51.0, 102.0, 153.0))
