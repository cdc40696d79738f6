"""What a reader knows of its faces before it decodes any of them, and what no data set may look like.

Every check that needs no pixel happens here, so that a wrong data set is refused before minutes of decoding.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from backbones.errors import InputError
from ensemble.expression import UNCERTAIN, canonical_expression
from ensemble.faces import SPLITS

__all__ = ["Listing", "UnevenFacesError", "check_listing", "check_splits"]


@dataclass(frozen=True, kw_only=True)
class Listing:
    """All faces of a source, in the order in which they will be decoded.

    Attributes:
        ids: (N,) names of the faces.
        labels: (N,) int64 class indices.
        splits: (N,) one of `train`, `validation`, `test` each.
        classes: Class names in label order.
        shape: Shape of one decoded face: (size, size) grey or (size, size, 3) RGB.
        groups: (N,) who or what the face shows, where known; a group never crosses splits.
        entries: Where the reader finds each face again, if not in the source's own order.
        resize: Whether faces of other shapes are to be brought to `shape`, rather than reported.
        passed_over: Rows of the source's own order that are no faces of the listing, because they cannot be read.
    """

    ids: npt.NDArray[np.str_]
    labels: npt.NDArray[np.int64]
    splits: npt.NDArray[np.str_]
    classes: tuple[str, ...]
    shape: tuple[int, ...]
    groups: npt.NDArray[np.str_] | None = None
    entries: tuple[str, ...] = ()
    resize: bool = False
    passed_over: frozenset[int] = frozenset()

    def __len__(self) -> int:
        return len(self.ids)

    def take(self, rows: npt.NDArray[np.bool_]) -> Listing:
        """The faces of the rows that are true, in the same order."""
        entries = tuple(entry for entry, keep in zip(self.entries, rows, strict=False) if keep)
        groups = None if self.groups is None else self.groups[rows]
        return replace(
            self, ids=self.ids[rows], labels=self.labels[rows], splits=self.splits[rows], groups=groups, entries=entries
        )


class UnevenFacesError(Exception):
    """The faces do not all have the listing's shape: decoding has to start again with the listing given here.

    Never reaches the user: whoever stores the faces catches it.
    """

    def __init__(self, listing: Listing) -> None:
        super().__init__(f"faces of several shapes; start again with {listing.shape}")
        self.listing = listing


def check_listing(listing: Listing, *, source: str, judged: bool = False) -> None:
    """Refuse data that no committee can honestly be fitted or judged on.

    Args:
        listing: What the reader found.
        source: Where, for the message.
        judged: Whether one is only judged, for which any splits may be there.

    Raises:
        InputError: Duplicate ids, an empty train or validation split, fewer training than validation faces, faces of
            fewer than two classes in the training split, a group in two splits, several names for one expression, or
            a class named `uncertain`.
    """
    if UNCERTAIN in listing.classes:
        raise InputError(
            f"Expected no class named `{UNCERTAIN}` in {source}: it stands for a face left without a label. Rename it."
        )
    _check_classes(listing, source)
    _check_ids(listing, source)
    if not judged:
        counts = {name: int((listing.splits == name).sum()) for name in SPLITS}
        check_splits(counts, len(np.unique(listing.labels[listing.splits == "train"])), source=source)
    _check_groups(listing, source)


def _check_classes(listing: Listing, source: str) -> None:
    for name in listing.classes:
        meant = canonical_expression(name) or name
        if meant != name:
            same = [other for other in listing.classes if canonical_expression(other) == meant]
            raise InputError(
                f"Expected one name per class in {source}, but {' and '.join(map(repr, same))} mean {meant}. "
                f"Merge them, or leave one out: `data: {{classes: {{{name}: {meant}}}}}`."
            )


def _check_ids(listing: Listing, source: str) -> None:
    names, counts = np.unique(listing.ids, return_counts=True)
    if (counts > 1).any():
        name, count = str(names[counts.argmax()]), int(counts.max())
        raise InputError(f"Expected every face once in {source}, but got {name!r} {count} times.")


def check_splits(counts: Mapping[str, int], trained: int, *, source: str) -> None:
    """Refuse splits that no committee can honestly be fitted on.

    Args:
        counts: Faces by split.
        trained: Classes of the training faces.
        source: Where they are, for the message.

    Raises:
        InputError: An empty train or validation split, fewer training than validation faces, or one class to learn.
    """
    found = ", ".join(f"{count} {name}" for name, count in counts.items())
    for name in ("train", "validation"):
        if not counts[name]:
            raise InputError(
                f"Expected faces in the {name} split of {source}, but got none ({found}). "
                "A committee needs train and validation faces; test faces are optional."
            )
    if counts["train"] < counts["validation"]:
        raise InputError(
            f"Expected more train than validation faces in {source}, but got {found}: the splits look swapped."
        )
    if trained < 2:
        raise InputError(f"Expected training faces of at least 2 classes in {source}, but all are of one class.")


def _check_groups(listing: Listing, source: str) -> None:
    if listing.groups is None:
        return
    pairs = np.unique(np.stack([listing.groups, listing.splits], axis=1), axis=0)  # (pairs, 2): group, split
    names, counts = np.unique(pairs[:, 0], return_counts=True)
    if (counts > 1).any():
        name = str(names[counts.argmax()])
        where = " and ".join(str(split) for group, split in pairs if group == name)
        raise InputError(
            f"Expected every group in one split of {source}, but got {name!r} in {where}: "
            "validation would flatter a committee that has seen the same person in training."
        )
