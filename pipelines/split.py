"""Splits faces that come without a division into train, validation and test faces, and training faces into folds.

All ways keep the classes' shares and depend on nothing but labels, groups, fractions and seed.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from backbones.errors import InputError
from ensemble.faces import SPLITS
from ensemble.fold import stratified_folds

__all__ = ["deal_folds", "deal_groups", "split_faces"]


def split_faces(
    labels: npt.NDArray[np.int64],
    *,
    validation: float,
    test: float,
    seed: int,
    groups: npt.NDArray[Any] | None = None,
) -> npt.NDArray[np.str_]:
    """Give every face a split.

    Args:
        labels: (N,) class indices.
        validation: Share of the faces that becomes the validation split; above 0 means at least one face.
        test: Share that becomes the test split; 0 for none.
        seed: Another seed, another division.
        groups: (N,) faces with the same group (a person, say) stay together.

    Returns:
        (N,) names among `SPLITS`.

    Raises:
        InputError: The shares leave nothing to train on, or there are fewer groups than splits.

    Example:
        >>> split_faces(np.zeros(10, dtype=np.int64), validation=0.1, test=0.2, seed=0).tolist().count("test")
        2
    """
    if validation + test >= 1:
        raise InputError(f"Expected `validation` + `test` to be below 1, but got {validation} + {test}.")
    rng = np.random.default_rng(seed)
    if groups is None:
        return _split_rows(labels, validation, test, rng)
    return np.array(SPLITS, dtype="<U10")[deal_groups(labels, groups, (1 - validation - test, validation, test), rng)]


def _split_rows(
    labels: npt.NDArray[np.int64], validation: float, test: float, rng: np.random.Generator
) -> npt.NDArray[np.str_]:
    splits = np.full(len(labels), "train", dtype="<U10")
    shuffled = rng.permutation(len(labels))
    order = shuffled[np.argsort(labels[shuffled], kind="stable")]  # by class, at random within each
    taken = _every(len(order), test)
    splits[order[taken]] = "test"
    order = order[~taken]
    splits[order[_every(len(order), validation / (1 - test))]] = "validation"
    return splits


def _every(count: int, share: float) -> npt.NDArray[np.bool_]:
    """Mark `share` of `count` places at even distances, which takes the same share of every class in a row."""
    if share and count:
        share = max(share, 1 / count)
    steps = np.floor(np.arange(count + 1) * share + 0.5)
    return np.asarray(np.diff(steps) > 0)


def deal_groups(
    labels: npt.NDArray[np.int64], groups: npt.NDArray[Any], shares: Sequence[float], rng: np.random.Generator
) -> npt.NDArray[np.int64]:
    """Deal whole groups out to splits: the largest first, each to the split that lacks its classes most.

    Args:
        labels: (N,) class indices.
        groups: (N,) faces with the same group stay together.
        shares: The splits' shares of the faces; every share above 0 gets at least one group.
        rng: Decides among groups of the same size.

    Returns:
        (N,) indices into `shares`.

    Raises:
        InputError: There are fewer groups than splits.
    """
    names, member = np.unique(groups, return_inverse=True)
    counts = np.zeros((len(names), int(labels.max(initial=0)) + 1))  # (groups, classes)
    np.add.at(counts, (member, labels), 1)
    totals = np.maximum(counts.sum(axis=0), 1)
    lacking = np.outer(shares, counts.sum(axis=0))  # (splits, classes)
    wanted = [split for split, share in enumerate(shares) if share > 0]
    if len(names) < len(wanted):
        raise InputError(
            f"Expected at least {len(wanted)} groups for {len(wanted)} splits, but got {len(names)}. "
            "Set `test: 0`, or leave the groups out."
        )
    shuffled = rng.permutation(len(names))
    chosen = np.zeros(len(names), dtype=np.int64)
    for group in shuffled[np.argsort(-counts[shuffled].sum(axis=1), kind="stable")]:
        need = lacking[wanted] @ (counts[group] / totals)
        chosen[group] = wanted[int(need.argmax())]
        lacking[chosen[group]] -= counts[group]
    _fill_empty(chosen, counts.sum(axis=1), wanted)
    return chosen[member]


def deal_folds(
    labels: npt.NDArray[np.int64], groups: npt.NDArray[Any] | None, *, folds: int, seed: int
) -> npt.NDArray[np.int64]:
    """Stratified folds; faces of one group stay together where groups are known.

    Args:
        labels: (N,) class indices.
        groups: (N,) group (a person, say) of every face, or None.
        folds: Number of folds; each gets at least one face.
        seed: Another seed, another division.

    Returns:
        (N,) index of the fold that holds each face out.

    Raises:
        InputError: There are fewer faces, or groups of them, than folds.
    """
    units, what = (len(labels), "faces") if groups is None else (len(np.unique(groups)), "groups of faces")
    if folds > units:
        raise InputError(f"Expected at most {units} folds for as many {what}, but got {folds}.")
    if groups is None:
        return stratified_folds(labels, folds=folds, seed=seed)
    return deal_groups(labels, groups, [1 / folds] * folds, np.random.default_rng(seed))


def _fill_empty(chosen: npt.NDArray[np.int64], sizes: npt.NDArray[np.float64], wanted: list[int]) -> None:
    """Give a split without a group the smallest group of the split that has most groups."""
    for split in wanted:
        if not (chosen == split).any():
            richest = np.bincount(chosen).argmax()
            candidates = np.flatnonzero(chosen == richest)
            chosen[candidates[sizes[candidates].argmin()]] = split
