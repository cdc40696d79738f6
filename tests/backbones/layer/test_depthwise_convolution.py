"""The depthwise convolution against torch's own, and its arithmetic under autocast."""

from __future__ import annotations

import torch
from torch import nn

from backbones.layer.depthwise_convolution import DepthwiseConvolution


def twins(**options):
    own = DepthwiseConvolution(6, 3, **options)
    reference = nn.Conv2d(6, 6, 3, groups=6, bias=False, **options)
    reference.load_state_dict(own.state_dict())
    return own, reference


def test_it_is_a_convolution_with_a_kernel_per_channel():
    own, reference = twins(stride=2, padding=1)
    x = torch.randn(2, 6, 9, 9, generator=torch.Generator().manual_seed(0))
    assert torch.equal(own(x), reference(x))
    assert own.weight.shape == (6, 1, 3, 3)
    assert own.bias is None


def test_autocast_leaves_it_in_float32_on_a_cpu():
    own, reference = twins(padding=1)
    x = torch.randn(2, 6, 8, 8, generator=torch.Generator().manual_seed(1)).bfloat16()
    with torch.autocast("cpu", torch.bfloat16):
        result = own(x)
        assert reference(x).dtype == torch.bfloat16  # what it is spared
    assert result.dtype == torch.float32
    assert torch.equal(result, reference(x.float()))
    result.sum().backward()
    assert own.weight.grad is not None
    assert own.weight.grad.dtype == torch.float32
