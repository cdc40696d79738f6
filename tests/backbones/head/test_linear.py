"""The plain head against its formula."""

from __future__ import annotations

import torch

from backbones.head.linear import Linear


def test_formula_and_dropout() -> None:
    head = Linear(6, 3, dropout=0.5)
    x = torch.randn(4, 6)
    torch.testing.assert_close(head.eval()(x), x @ head.logits.weight.T + head.logits.bias)
    torch.manual_seed(0)
    assert not torch.equal(head.train()(x), head(x))
