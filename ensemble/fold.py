"""Stratified folds: who is held out when, for cross-fitted committees and estimates."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from backbones.errors import InputError

__all__ = ["stratified_folds"]


def stratified_folds(labels: npt.ArrayLike, *, folds: int, seed: int = 0) -> npt.NDArray[np.int64]:
    """Deal the samples out to folds, class by class, in a seeded order.

    Fold sizes differ by at most one, and so do the counts of each class. With fewer samples than folds, every sample
    is a fold of its own.

    Args:
        labels: (N,) class indices.
        folds: Number of folds, at least 2.
        seed: Seed of the order within each class.

    Returns:
        (N,) index of the fold that holds each sample out.

    Raises:
        InputError: Fewer than 2 folds or 2 samples.

    Example:
        >>> stratified_folds([0, 0, 1, 1, 1, 1], folds=2).tolist()
        [0, 1, 1, 0, 1, 0]
    """
    classes = np.asarray(labels, dtype=np.int64)
    if folds < 2:
        raise InputError(f"Expected `folds` to be at least 2, but got {folds}.")
    if len(classes) < 2:
        raise InputError(f"Expected at least 2 labelled faces to hold some of them out, but got {len(classes)}.")
    shuffled = np.random.default_rng(seed).permutation(len(classes))
    # Dealing goes on where the last class stopped: that keeps both the folds and the classes within them balanced.
    order = shuffled[np.argsort(classes[shuffled], kind="stable")]
    result = np.empty(len(classes), dtype=np.int64)
    result[order] = np.arange(len(classes)) % min(folds, len(classes))
    return result
