"""The squared error of the expected class index, which two losses share.

The index of a class is no ordinal scale: fear is not between disgust and happiness. The error depends on the order of
the classes, and is offered because it was published.
"""

from __future__ import annotations

import torch
from torch import Tensor

__all__ = ["expected_label_error"]


def expected_label_error(logits: Tensor, targets: Tensor) -> Tensor:
    """(E[ŷ] - y)² with E[ŷ] = Σ k·p_k, averaged over the batch.

    Zhai et al., 2017, Deep Convolutional Neural Network for Facial Expression Recognition, equations 2 and 3. A target
    distribution counts by its own expected index.

    Args:
        logits: (B, K).
        targets: (B, K), rows summing to 1.

    Returns:
        A scalar.

    Example:
        >>> expected_label_error(torch.zeros(1, 3), torch.tensor([[0.0, 0.0, 1.0]])).item()
        1.0
    """
    index = torch.arange(logits.shape[1], dtype=logits.dtype, device=logits.device)  # (K,)
    expected = logits.softmax(dim=1) @ index  # (B,)
    return (expected - targets.to(logits.dtype) @ index).square().mean()
