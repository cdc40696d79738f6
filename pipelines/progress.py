"""How far a training run has come. Loads no torch."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

__all__ = ["Progress", "mean_history"]


@dataclass
class Progress:
    """How far a training run has come.

    Attributes:
        fingerprint: Of the member; a checkpoint of another one is not used.
        epoch: Epochs done.
        updates: Optimiser updates done.
        best_epoch: The best epoch so far, counted from 1; 0 before the first.
        best_value: Its score; higher is better.
        seconds: Training time so far, over all sessions.
        history: One record per epoch.
    """

    fingerprint: str
    epoch: int = 0
    updates: int = 0
    best_epoch: int = 0
    best_value: float = float("-inf")
    seconds: float = 0.0
    history: list[dict[str, float]] = field(default_factory=list)


def mean_history(histories: Sequence[list[dict[str, float]]]) -> list[dict[str, float]]:
    """The mean of several runs' records, epoch by epoch, as far as all of them went."""
    return [
        {key: float(np.mean([record[key] for record in records])) for key in records[0]}
        for records in zip(*histories, strict=False)
    ]
