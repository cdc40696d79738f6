"""How far the maps of members agree, and what each member weighs in the committee. Numpy alone."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from ensemble.committee import Committee

__all__ = ["blended", "committee_weights", "map_agreement", "rank_correlation"]

Maps = npt.NDArray[np.float64]

_LOW, _HIGH = 0.05, 0.95


def rank_correlation(one: Maps, other: Maps) -> float:
    """Spearman's correlation of two maps over the pixels that both know; NaN where one of them is flat.

    Example:
        >>> rank_correlation(np.array([[1.0, 2.0], [3.0, np.nan]]), np.array([[1.0, 4.0], [9.0, 0.0]]))
        1.0
    """
    from scipy.stats import rankdata

    known = np.isfinite(one) & np.isfinite(other)
    ranks = [rankdata(values[known]) for values in (one, other)]
    if known.sum() < 2 or any(np.ptp(r) == 0 for r in ranks):
        return float("nan")
    centred = [r - r.mean() for r in ranks]
    return float(centred[0] @ centred[1] / np.sqrt((centred[0] @ centred[0]) * (centred[1] @ centred[1])))


def map_agreement(maps: Mapping[str, Maps]) -> npt.NDArray[np.float64]:
    """(M, M) rank correlations between the maps (N, H, W) of M members, each the mean over the faces.

    Faces on which one of the two maps is flat are left out of the mean; NaN where none is left.
    """
    names = list(maps)
    result = np.eye(len(names))
    for i, one in enumerate(names):
        for j in range(i):
            own = [rank_correlation(a, b) for a, b in zip(maps[one], maps[names[j]], strict=True)]
            known = [value for value in own if value == value]
            result[i, j] = result[j, i] = np.mean(known) if known else np.nan
    return result


def committee_weights(
    committee: Committee, posteriors: Mapping[str, npt.NDArray[np.float64]], target: Sequence[int]
) -> dict[str, float]:
    """What each member weighs in a committee, whatever its rules.

    How far the committee's probability of a face's class moves while one member's goes from 0.05 to 0.95 and the others
    stay, averaged over the faces; below 0 counts as 0, and all sum to 1. For weighted means, in trees too, these are
    the products of the fitted weights. Members of a committee that no single one can move count alike.

    Args:
        committee: The fitted rules.
        posteriors: (N, K) probabilities of N faces, by member.
        target: Class of each face.
    """
    classes = np.asarray(target)
    rows = np.arange(len(classes))
    slopes: dict[str, float] = {}
    for name in committee.members:
        low, high = (
            committee({**posteriors, name: _moved(posteriors[name], classes, share)})[rows, classes].mean()
            for share in (_LOW, _HIGH)
        )
        slopes[name] = max(0.0, float(high - low) / (_HIGH - _LOW))
    total = sum(slopes.values())
    if total < 1e-9:
        return dict.fromkeys(slopes, 1 / len(slopes))
    return {name: slope / total for name, slope in slopes.items()}


def _moved(probs: npt.NDArray[np.float64], classes: npt.NDArray[Any], share: float) -> npt.NDArray[np.float64]:
    """Probabilities (N, K) with a given one for the class, the others in proportion."""
    rows = np.arange(len(classes))
    others = probs.copy()
    others[rows, classes] = 0
    rest = others.sum(axis=1, keepdims=True)
    flat = np.ones_like(probs)
    flat[rows, classes] = 0
    others = np.where(rest > 1e-12, others / np.maximum(rest, 1e-12), flat / flat.sum(axis=1, keepdims=True))
    result = np.asarray(others * (1 - share))
    result[rows, classes] = share
    return result


def blended(maps: Mapping[str, Maps], weights: Mapping[str, float]) -> Maps:
    """Weighted mean (N, H, W) of members' maps, each scaled by its largest value: their units differ.

    A pixel that a member does not see is left to the others; NaN where none sees it.
    """
    total: Any = 0.0
    known: Any = 0.0
    for name, own in maps.items():
        largest = np.nanmax(np.abs(own), axis=(1, 2), keepdims=True)
        total = total + weights[name] * np.nan_to_num(own / np.maximum(largest, 1e-12))
        known = known + weights[name] * np.isfinite(own)
    return np.asarray(np.where(known > 0, total / np.maximum(known, 1e-12), np.nan))
