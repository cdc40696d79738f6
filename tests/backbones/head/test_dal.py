"""The double activation layer against its formula; what it inherits is asked in `test_network`."""

from __future__ import annotations

import torch

from backbones.head.dal import DAL


def test_formula() -> None:
    head = DAL(5, 3, hidden=4, dropout=0.5).eval()
    x = torch.randn(6, 5)
    a = x @ head.ip1a.weight.T + head.ip1a.bias
    b = x @ head.ip1b.weight.T + head.ip1b.bias
    hidden = torch.stack([a, b]).amax(0).clamp(min=0)
    torch.testing.assert_close(head(x), hidden @ head.ip2.weight.T + head.ip2.bias)


def test_attachment_is_the_parameter() -> None:
    assert DAL(5, 3).attach == DAL.attach == "conv"
    assert DAL(5, 3, attach="fc").attach == "fc"
