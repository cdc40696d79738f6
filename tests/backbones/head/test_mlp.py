"""The fully connected head: its layers in order."""

from __future__ import annotations

import torch
from torch import nn

from backbones.head.mlp import MLP


def test_layers_are_affine_bn_relu_dropout() -> None:
    head = MLP(6, 3, hidden=[5, 4], norm=True, dropout=0.3)
    assert [type(layer) for layer in head.hidden] == [nn.Linear, nn.BatchNorm1d, nn.ReLU, nn.Dropout] * 2
    assert [layer.out_features for layer in head.modules() if isinstance(layer, nn.Linear)] == [5, 4, 3]
    assert [type(layer) for layer in MLP(6, 3, hidden=[5]).hidden] == [nn.Linear, nn.ReLU, nn.Dropout]


def test_formula() -> None:
    head = MLP(6, 3, hidden=[5]).eval()
    x = torch.randn(2, 6)
    first, last = head.hidden[0], head.logits
    expected = (x @ first.weight.T + first.bias).clamp(min=0) @ last.weight.T + last.bias
    torch.testing.assert_close(head(x), expected)
