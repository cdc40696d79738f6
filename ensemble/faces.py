"""Labelled faces of one split, as every other part sees them.

Holds arrays only: which file they came from, and how they were decoded, is the readers' business.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from backbones.errors import InputError
from ensemble.judgement import Targets, expected_labels

__all__ = ["SPLITS", "Faces", "content_digest", "face_digests", "order_digest"]

SPLITS = ("train", "validation", "test")
"""Train fits the members, validation picks epochs and fits the committee, test is looked at by `evaluate` alone."""


@dataclass(frozen=True, kw_only=True)
class Faces:
    """The faces of one split.

    Attributes:
        split: One of `SPLITS`.
        classes: Class names in label order.
        ids: (N,) unique names, str.
        images: (N, size, size) grey or (N, size, size, 3) RGB uint8; may be memory-mapped.
        labels: (N,) int64 class indices.
        votes: (N, K) float32 label distributions of several judges, where known.
        digest: sha256 of pixels and labels, independent of the order and the names of the faces.
        order_digest: sha256 of the faces and their ids, in order: all that a fit sees but the names of the classes.
        mapped: Whether `data: {classes: …}` made the classes; then their names count in the digest.
    """

    split: str
    classes: tuple[str, ...]
    ids: npt.NDArray[np.str_]
    images: npt.NDArray[np.uint8]
    labels: npt.NDArray[np.int64]
    votes: npt.NDArray[np.float32] | None = None
    digest: str
    order_digest: str
    mapped: bool = False

    def __post_init__(self) -> None:
        if not len(self.ids) == len(self.images) == len(self.labels):
            raise InputError(
                f"Expected as many ids and labels as images, but got {len(self.ids)} ids, {len(self.labels)} labels "
                f"and {len(self.images)} images in the {self.split} split."
            )

    @classmethod
    def of(
        cls,
        *,
        split: str,
        classes: tuple[str, ...],
        ids: npt.NDArray[np.str_],
        images: npt.NDArray[np.uint8],
        labels: npt.NDArray[np.int64],
        votes: npt.NDArray[np.float32] | None = None,
        mapped: bool = False,
    ) -> Self:
        """Faces whose digests are still to be taken."""
        singles = face_digests(images, labels, votes)
        return cls(
            split=split, classes=classes, ids=ids, images=images, labels=labels, votes=votes, mapped=mapped,
            digest=content_digest(singles, classes=classes if mapped else ()), order_digest=order_digest(singles, ids),
        )  # fmt: skip

    def __len__(self) -> int:
        return len(self.ids)

    @property
    def size(self) -> int:
        """Side of the square faces in pixels."""
        return int(self.images.shape[1])

    @property
    def channels(self) -> int:
        """1 for grey, 3 for RGB."""
        return 1 if self.images.ndim == 3 else 3

    @property
    def class_counts(self) -> npt.NDArray[np.int64]:
        """(K,) faces per class."""
        return np.bincount(self.labels, minlength=len(self.classes))

    def targets(self, kind: Targets = "labels") -> npt.NDArray[np.float32]:
        """(N, K) label distributions: one-hot, the judges' votes, or the mean of the label and what the votes expect.

        Raises:
            InputError: Votes are asked for, but the data has none.
        """
        self.check_targets(kind)
        one_hot = np.eye(len(self.classes), dtype=np.float32)[self.labels]
        if kind == "labels" or self.votes is None:
            return one_hot
        if kind == "votes":
            return self.votes
        return np.float32(0.5) * (one_hot + expected_labels(self.votes, self.labels))

    def check_targets(self, kind: Targets) -> None:
        """Refuse targets that need votes where there are none.

        Raises:
            InputError: There are none.
        """
        if kind != "labels" and self.votes is None:
            raise InputError(
                f"Expected the data to have votes because of `targets: {kind}`, but it has none. "
                "Name a votes file: `data: {votes: ferplus.csv}`."
            )

    def take(self, rows: Any) -> Faces:
        """The faces at `rows` (anything numpy indexes with), with digests of their own."""
        images, labels = np.ascontiguousarray(self.images[rows]), self.labels[rows]
        votes = None if self.votes is None else self.votes[rows]
        return Faces.of(
            split=self.split, classes=self.classes, ids=self.ids[rows], images=images, labels=labels, votes=votes,
            mapped=self.mapped,
        )  # fmt: skip


def face_digests(
    images: npt.NDArray[Any], labels: npt.NDArray[Any], votes: npt.NDArray[Any] | None = None
) -> list[bytes]:
    """A digest of every face: its shape, pixels, label and votes.

    Args:
        images: (N, …) pixels.
        labels: (N,) class indices.
        votes: (N, K) label distributions, if known.
    """
    shape = repr(tuple(images.shape[1:])).encode()
    singles = []
    for row in range(len(labels)):
        single = hashlib.blake2b(shape, digest_size=16)
        single.update(np.ascontiguousarray(images[row]).data)
        single.update(int(labels[row]).to_bytes(4, "little"))
        if votes is not None:
            single.update(np.ascontiguousarray(votes[row], dtype="<f4").data)
        singles.append(single.digest())
    return singles


def content_digest(singles: Sequence[bytes], *, classes: Sequence[str] = ()) -> str:
    """sha256 over the sorted digests of single faces: the order of faces is ignored.

    Args:
        singles: From `face_digests`.
        classes: Names of the classes, where another name is to give another digest.
    """
    return hashlib.sha256(b"".join([*sorted(singles), "\n".join(classes).encode()])).hexdigest()


def order_digest(singles: Sequence[bytes], ids: Iterable[str]) -> str:
    """sha256 over which face each id names, in order.

    Args:
        singles: From `face_digests`.
        ids: Names of the faces, in the same order.
    """
    pairs = (f"{single.hex()} {name}" for single, name in zip(singles, ids, strict=True))
    return hashlib.sha256("\n".join(pairs).encode()).hexdigest()
