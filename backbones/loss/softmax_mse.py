"""Softmax-MSE: reports the squared error of the expected label while it trains as cross-entropy."""

from __future__ import annotations

from torch import Tensor
from torch.nn import functional

from backbones.contract import Loss
from backbones.loss._expected_label import expected_label_error
from backbones.registry import LOSSES

__all__ = ["SoftmaxMSE"]


@LOSSES.register("softmax_mse")
class SoftmaxMSE(Loss):
    """Softmax-MSE: the value of equation 2, (E[ŷ] - y)², with the gradient of equation 4, cross-entropy's.

    Zhai et al., 2017, Deep Convolutional Neural Network for Facial Expression Recognition. As published, value and
    gradient belong to different losses: training is that of `cross_entropy`, and only the reported number differs. The
    class index is no ordinal scale, so never select a checkpoint by this value. `ce_expected_mse` follows the squared
    error's true gradient.

    Args:
        class_counts: (K,), training faces per class; not used.

    Example:
        >>> import torch
        >>> loss = SoftmaxMSE(torch.tensor([1, 1, 1]))
        >>> loss(torch.zeros(1, 3), torch.tensor([[0.0, 0.0, 1.0]])).item()
        1.0
    """

    def __init__(self, class_counts: Tensor) -> None:
        super().__init__()

    def forward(self, logits: Tensor, targets: Tensor) -> Tensor:
        """Logits (B, K) and target distributions (B, K) to the batch mean, a scalar."""
        cross_entropy = functional.cross_entropy(logits, targets.to(logits.dtype))
        # The cross-entropy must cancel exactly in the value: subtract it from itself before the error is added.
        return (cross_entropy - cross_entropy.detach()) + expected_label_error(logits, targets).detach()
