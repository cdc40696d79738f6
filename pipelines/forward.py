"""Runs a network over any number of rows in batches of one fixed size."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from pipelines.device import forward_rows

__all__ = ["forward_all", "softmax"]


def forward_all(
    model: nn.Module,
    rows: npt.NDArray[Any],
    *,
    device: torch.device,
    prepare: Callable[[Tensor], Tensor] | None = None,
    advance: Callable[[int], None] | None = None,
) -> npt.NDArray[np.float32]:
    """Apply `model` in evaluation mode to all rows, in float32.

    A row's result depends on that row alone, not on the others: see `forward_rows`.

    Args:
        model: The network, or a part of it.
        rows: (N, ...) faces or features.
        device: Where the model lies.
        prepare: What is done to a batch on the device first (the input layer).
        advance: Told the number of rows done, after each batch.

    Returns:
        (N, outputs) float32.
    """
    model.eval()
    results = []
    with torch.inference_mode():
        for batch, valid in _padded(rows, forward_rows(device)):
            x = torch.from_numpy(batch).to(device)
            x = prepare(x) if prepare else x
            if x.ndim == 4:
                x = x.contiguous(memory_format=torch.channels_last)
            results.append(model(x)[:valid].float().cpu().numpy())
            if advance:
                advance(valid)
    return np.concatenate(results) if results else np.empty((0, 0), np.float32)


def _padded(rows: npt.NDArray[Any], size: int) -> Iterator[tuple[npt.NDArray[Any], int]]:
    for start in range(0, len(rows), size):
        batch = np.array(rows[start : start + size])  # a copy: the rows may be memory-mapped read-only
        valid = len(batch)
        if valid < size:
            batch = np.concatenate([batch, np.repeat(batch[-1:], size - valid, axis=0)])
        yield batch, valid


def softmax(logits: npt.NDArray[np.floating[Any]]) -> npt.NDArray[np.float64]:
    """Logits (..., K) to probabilities, in float64."""
    with np.errstate(invalid="ignore"):  # infinite logits become NaN, which is refused where votes are fused
        shifted = logits.astype(np.float64) - logits.max(axis=-1, keepdims=True)
    exponential = np.exp(shifted)
    return np.asarray(exponential / exponential.sum(axis=-1, keepdims=True))
