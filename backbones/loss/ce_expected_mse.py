"""Cross-entropy plus the squared error of the expected label, followed along its true gradient."""

from __future__ import annotations

from torch import Tensor
from torch.nn import functional

from backbones.contract import Loss
from backbones.loss._expected_label import expected_label_error
from backbones.parameter import NonNegative
from backbones.registry import LOSSES

__all__ = ["CEExpectedMSE"]


@LOSSES.register("ce_expected_mse")
class CEExpectedMSE(Loss):
    """Cross-entropy + weight · (E[ŷ] - y)², trained on the sum's own gradient.

    The squared error is that of Zhai et al., 2017, Deep Convolutional Neural Network for Facial Expression Recognition,
    equations 2 and 3; its gradient by logit i is 2 (E - y) · p_i · (i - E). The class index is no ordinal scale: the
    error term depends on the order of the classes.

    Args:
        class_counts: (K,), training faces per class; not used.
        weight: Factor of the squared error.

    Example:
        >>> import torch
        >>> loss = CEExpectedMSE(torch.tensor([1, 1, 1]), weight=0.0)
        >>> round(loss(torch.zeros(1, 3), torch.tensor([[0.0, 0.0, 1.0]])).item(), 4)
        1.0986
    """

    def __init__(self, class_counts: Tensor, *, weight: NonNegative = 0.1) -> None:
        super().__init__()
        self.weight = weight

    def forward(self, logits: Tensor, targets: Tensor) -> Tensor:
        """Logits (B, K) and target distributions (B, K) to the batch mean, a scalar."""
        cross_entropy = functional.cross_entropy(logits, targets.to(logits.dtype))
        return cross_entropy + self.weight * expected_label_error(logits, targets)
