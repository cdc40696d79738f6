"""The plain head against its formula."""

from __future__ import annotations

import pytest
import torch

from backbones.contract import Head
from backbones.head.linear import Linear
from backbones.head.mlp import MLP


def test_formula_and_dropout() -> None:
    head = Linear(6, 3, dropout=0.5)
    x = torch.randn(4, 6)
    torch.testing.assert_close(head.eval()(x), x @ head.logits.weight.T + head.logits.bias)
    torch.manual_seed(0)
    assert not torch.equal(head.train()(x), head(x))


@pytest.mark.parametrize("kind", ["linear", "mlp"])
def test_standardised_features_answer_the_same_at_any_scale(kind: str) -> None:
    def head() -> Head:
        torch.manual_seed(0)
        return Linear(6, 3, standardize=True) if kind == "linear" else MLP(6, 3, hidden=[5], standardize=True)

    x = torch.randn(64, 6)
    first, second = head().train(), head().train()
    answers = first(x)
    torch.testing.assert_close(answers, second(1e-5 * x + 0.3e-5), rtol=1e-3, atol=1e-3)
    z = (x - x.mean(dim=0)) / x.std(dim=0, unbiased=False)
    expected = first.logits(first.hidden(z) if isinstance(first, MLP) else z)
    torch.testing.assert_close(answers, expected, rtol=1e-3, atol=1e-3)
    assert not torch.allclose(first.eval()(x), answers)  # in evaluation it goes by the running statistics
