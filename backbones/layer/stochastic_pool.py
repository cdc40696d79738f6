"""Max pooling's random sibling: a window's larger activations are kept more often, not always.

Owns the draw in training and the weighting in evaluation.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

__all__ = ["StochasticPool2d"]


class StochasticPool2d(nn.Module):
    """2×2 windows of stride 2; an odd last row and column are dropped.

    Zeiler & Fergus, 2013, Stochastic Pooling for Regularization of Deep Convolutional Neural Networks; in face
    expressions Yu & Zhang, 2015, Image based Static Facial Expression Recognition with Multiple Deep Network Learning.
    Training keeps one cell a, drawn with probability a / Σ a over its window, from torch's global generator; evaluation
    takes the mean under the same probabilities, Σ a² / Σ a. A window of zeros gives 0. Activations must not be
    negative: the pool belongs behind a ReLU.

    Example:
        >>> StochasticPool2d().eval()(torch.tensor([[[[1.0, 3.0], [0.0, 0.0]]]]))
        tensor([[[[2.5000]]]])
    """

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W), none negative, to (B, C, ⌊H / 2⌋, ⌊W / 2⌋)."""
        if self.training:
            return functional.avg_pool2d(x * _draw(x.float()).to(x.dtype), 2, divisor_override=1)
        mean, square = functional.avg_pool2d(x, 2), functional.avg_pool2d(x.square(), 2)
        return square / mean.clamp_min(torch.finfo(x.dtype).tiny)


@torch.no_grad()
def _draw(x: Tensor) -> Tensor:
    """1 in the cell that each window keeps, 0 elsewhere (B, C, H, W); in single precision, lest small cells vanish."""
    a, b, c, d = _cells(x)
    to_b = a + b
    to_c = to_b + c
    total = to_c + d
    mark = torch.rand_like(total).mul_(total)  # below `total`, unless all are 0
    chosen = torch.zeros_like(x)
    # Comparisons in the arithmetic of floats: several times as fast as `torch.where`.
    first, second, third, last = _cells(chosen)
    last.copy_(mark).ge_(to_c)
    third.copy_(mark).ge_(to_b).sub_(last)
    second.copy_(mark).ge_(a).sub_(third).sub_(last)
    first.fill_(1).sub_(second).sub_(third).sub_(last)
    return chosen


def _cells(x: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """The four cells of every window, as views (B, C, ⌊H / 2⌋, ⌊W / 2⌋)."""
    x = x[:, :, : x.shape[2] // 2 * 2, : x.shape[3] // 2 * 2]
    return x[:, :, ::2, ::2], x[:, :, ::2, 1::2], x[:, :, 1::2, ::2], x[:, :, 1::2, 1::2]
