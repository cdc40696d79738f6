"""Finds splits that hold the same pictures: a committee that is judged on its training faces looks far too good."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations
from pathlib import Path

import numpy as np
import numpy.typing as npt

from backbones.errors import InputError

__all__ = ["check_overlap"]

_MOST = 0.5
"""Share of a split's pictures that another split may hold too; public data sets have some such by mistake."""
_FEW = 8
"""Fewer pictures than these tell nothing."""


def check_overlap(folder: Path, splits: Sequence[str], *, source: str) -> None:
    """Refuse a split half of whose pictures lie in another one, pixel by pixel; those of one grey level do not count.

    Args:
        folder: Holds `<split>.images.npy` of every split.
        splits: Their names.
        source: For the message.

    Raises:
        InputError: There are such splits.
    """
    images = {split: np.asarray(np.load(folder / f"{split}.images.npy", mmap_mode="r")) for split in splits}
    keys = {split: _keys(own) for split, own in images.items()}
    axes = tuple(range(1, images[splits[0]].ndim))
    for pair in combinations(splits, 2):
        small, large = sorted(pair, key=lambda split: len(keys[split]))
        shared = np.isin(keys[small], keys[large])
        pictures = images[small][shared]
        count = int((pictures.max(axis=axes) > pictures.min(axis=axes)).sum()) if len(pictures) else 0
        if count >= max(_FEW, _MOST * len(shared)):
            raise InputError(
                f"Expected other faces in the {small} split of {source} than in its {large} split, but {count:,} of "
                f"its {len(shared):,} pictures are there too, pixel by pixel: a committee would be judged on what it "
                "has learned. Split the data anew; `ensemble data audit` names such pictures."
            )


def _keys(images: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint64]:
    """(N,) a number for the content of every picture, a random linear hash of 64 bits."""
    rows = np.ascontiguousarray(images).reshape(len(images), -1)
    if rows.shape[1] % 8:
        rows = np.pad(rows, ((0, 0), (0, -rows.shape[1] % 8)))
    words = rows.view(np.uint64)
    factors = np.random.default_rng(0).integers(1, 2**63, words.shape[1], dtype=np.uint64) | np.uint64(1)
    return np.asarray(words @ factors)
