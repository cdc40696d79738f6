"""Freezing by stage names; that it holds for every backbone is asked in `test_contract`."""

from __future__ import annotations

import copy

import pytest
import torch

from backbones.contract import InputShape
from backbones.errors import InputError
from backbones.freeze import freeze_until, frozen_stages
from backbones.network import Network, build_network


def _network(head: tuple[str, dict[str, object]] = ("linear", {})) -> Network:
    network, _ = build_network(backbone=("light_cnn", {}), head=head, shape=InputShape(channels=1, size=16), classes=3)
    return network


def test_unknown_stage_is_answered_with_the_nearest() -> None:
    message = r"Expected `freeze.until` to be a stage of LightCNN, but got 'conv_3'\. Did you mean `conv3`\?"
    with pytest.raises(InputError, match=message):
        freeze_until(_network().backbone, "conv_3")


def test_stage_that_the_head_replaced_is_gone() -> None:
    with pytest.raises(InputError, match=r"but got 'fc1'"):
        freeze_until(_network(("dal", {"attach": "conv"})).backbone, "fc1")


def test_freezing_survives_a_copy() -> None:
    network = _network()
    freeze_until(network.backbone, "conv2")
    copied = copy.deepcopy(network).train()
    assert frozen_stages(copied.backbone) == ["conv1", "conv2"]
    assert not copied.backbone.stages()["conv2"].training
    assert copied.backbone.stages()["conv3"].training


def test_eval_and_train_again() -> None:
    network = _network()
    freeze_until(network.backbone, "fc1")
    assert frozen_stages(network.backbone) == list(network.backbone.stages())
    assert not network.train().backbone.training
    assert network.head.training
    assert not network.eval().head.training
    x = torch.zeros(1, 1, 16, 16)
    assert torch.equal(network(x), network(x))
