"""The Brier score as a loss: squared distance between predicted and target distribution."""

from __future__ import annotations

from torch import Tensor

from backbones.contract import Loss
from backbones.registry import LOSSES

__all__ = ["Brier"]


@LOSSES.register("brier")
class Brier(Loss):
    """Brier score: Σ_k (p_k - y_k)², a proper score that forgives confident mistakes more than cross-entropy.

    Brier, 1950, Verification of forecasts expressed in terms of probability.

    Args:
        class_counts: (K,), training faces per class; not used.

    Example:
        >>> import torch
        >>> Brier(torch.tensor([1, 1]))(torch.zeros(1, 2), torch.tensor([[0.0, 1.0]])).item()
        0.5
    """

    def __init__(self, class_counts: Tensor) -> None:
        super().__init__()

    def forward(self, logits: Tensor, targets: Tensor) -> Tensor:
        """Logits (B, K) and target distributions (B, K) to the batch mean, a scalar in 0..2."""
        return (logits.softmax(dim=1) - targets.to(logits.dtype)).square().sum(dim=1).mean()  # (B, K) -> (B,) -> ()
