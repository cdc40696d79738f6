"""The max-feature-map against its definition."""

from __future__ import annotations

import torch
from torch.nn import functional

from backbones.layer.max_feature_map import MaxFeatureConv, MaxFeatureLinear, max_feature_map


def test_it_is_the_larger_of_channel_k_and_channel_k_plus_c() -> None:
    x = torch.randn(2, 6, 4, 5)
    expected = torch.stack([torch.stack([x[:, k], x[:, k + 3]]).amax(0) for k in range(3)], dim=1)
    assert torch.equal(max_feature_map(x), expected)


def test_layers_are_their_filter_then_the_maximum() -> None:
    conv, linear = MaxFeatureConv(3, 4, kernel=5), MaxFeatureLinear(6, 4)
    x = torch.randn(2, 3, 7, 7)
    full = functional.conv2d(x, conv.filter.weight, conv.filter.bias, padding=2)
    torch.testing.assert_close(conv(x), torch.maximum(full[:, :4], full[:, 4:]))
    assert conv(x).shape == (2, 4, 7, 7)
    assert linear(torch.randn(2, 6)).shape == (2, 4)
