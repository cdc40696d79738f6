"""The backbone that is none."""

from __future__ import annotations

import pytest
import torch

from backbones.contract import InputShape
from backbones.errors import InputError
from backbones.freeze import freeze_all, freeze_until, frozen_stages
from backbones.net.pixels import Pixels
from backbones.network import build_network

RGB = InputShape(channels=3, size=6)


def test_features_are_the_pixels_channel_by_channel_in_any_layout() -> None:
    x = torch.randn(2, 3, 6, 6)
    net = Pixels(RGB)
    assert torch.equal(net(x), x.reshape(2, 108))
    assert torch.equal(net(x.contiguous(memory_format=torch.channels_last)), x.reshape(2, 108))
    assert net.num_features == 108


def test_without_parameters_it_counts_as_frozen() -> None:
    network, _ = build_network(backbone=("pixels", {}), head=("linear", {}), shape=RGB, classes=7)
    freeze_all(network.backbone)
    assert not network.train().backbone.training
    assert network.head.training
    assert frozen_stages(network.backbone) == []
    assert sum(p.numel() for p in network.parameters()) == 108 * 7 + 7


def test_it_has_no_stage_to_freeze_until() -> None:
    with pytest.raises(InputError, match=r"Expected `freeze.until` to be a stage of Pixels, but got 'conv1'\."):
        freeze_until(Pixels(RGB), "conv1")
