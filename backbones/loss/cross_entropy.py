"""Cross-entropy with label smoothing and class weights, for labels and for label distributions."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor

from backbones.contract import Loss
from backbones.errors import InputError
from backbones.parameter import Fraction, Positive
from backbones.registry import LOSSES

__all__ = ["CrossEntropy"]


@LOSSES.register("cross_entropy")
class CrossEntropy(Loss):
    """Cross-entropy of the softmax, the default loss.

    Label smoothing as Szegedy et al., 2016, Rethinking the Inception Architecture for Computer Vision, section 7. On
    one-hot targets it equals PyTorch's loss of class indices, with its mean weighted by the true classes' weights.

    Args:
        class_counts: (K,), training faces per class.
        smoothing: Share of each target that is spread evenly over the classes.
        class_weights: `balanced` weighs class k by N / (K · count_k); a list gives the K weights themselves.

    Raises:
        InputError: The list holds another number of weights than there are classes.

    Example:
        >>> loss = CrossEntropy(torch.tensor([10, 30]), class_weights="balanced")
        >>> [round(w, 3) for w in loss.weights.tolist()]
        [2.0, 0.667]
    """

    weights: Tensor

    def __init__(
        self,
        class_counts: Tensor,
        *,
        smoothing: Fraction = 0.0,
        class_weights: Literal["none", "balanced"] | list[Positive] = "none",
    ) -> None:
        super().__init__()
        self.smoothing = smoothing
        self.register_buffer("weights", _weights(class_counts.float(), class_weights), persistent=False)

    def forward(self, logits: Tensor, targets: Tensor) -> Tensor:
        """Logits (B, K) and target distributions (B, K) to the weighted mean, a scalar."""
        targets = targets.to(logits.dtype)
        weights = self.weights.to(logits.dtype)
        smoothed = (1 - self.smoothing) * targets + self.smoothing / targets.shape[1]
        losses = -(smoothed * weights * logits.log_softmax(dim=1)).sum(dim=1)  # (B, K) -> (B,)
        return losses.sum() / (targets @ weights).sum()


def _weights(counts: Tensor, kind: str | list[float]) -> Tensor:
    classes = len(counts)
    if isinstance(kind, list):
        if len(kind) != classes:
            raise InputError(
                f"Expected `class_weights` to hold {classes} weights, one per class, but got {len(kind)}. "
                "Or set it to `balanced`."
            )
        return torch.tensor(kind, dtype=torch.float32)
    if kind == "balanced":
        # A class without training faces counts as if it had one: its weight stays finite.
        return counts.sum() / (classes * counts.clamp(min=1))
    return torch.ones(classes)
