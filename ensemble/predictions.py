"""Class probabilities of faces: what members hand to the committee and what the committee hands to the user."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from backbones.errors import InputError
from ensemble.expression import UNCERTAIN

__all__ = ["Predictions", "check_min_confidence"]

_TOLERANCE = 1e-3


@dataclass(frozen=True, kw_only=True)
class Predictions:
    """Probabilities of N faces over K classes.

    Attributes:
        ids: (N,) unique names.
        probs: (N, K) float64, rows sum to 1.
        classes: K class names, in column order.
        labels: (N,) true class indices, if known.
        agreement: (N,) share of members whose own vote is the most probable class, if several voted.
        min_confidence: Faces below it are left undecided; None decides all.

    Raises:
        InputError: Wrong shapes, NaN, probabilities outside [0, 1], rows that do not sum to 1, duplicate ids, or a
            least confidence outside (0, 1].

    Example:
        >>> p = Predictions(ids=np.array(["a"]), probs=np.array([[0.2, 0.8]]), classes=("happy", "sad"))
        >>> p.names
        ['sad']
    """

    ids: npt.NDArray[np.str_]
    probs: npt.NDArray[np.float64]
    classes: tuple[str, ...]
    labels: npt.NDArray[np.int64] | None = None
    agreement: npt.NDArray[np.float64] | None = None
    min_confidence: float | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "ids", np.asarray(self.ids, dtype=np.str_))
        object.__setattr__(self, "probs", np.asarray(self.probs, dtype=np.float64))
        object.__setattr__(self, "classes", tuple(self.classes))
        check_min_confidence(self.min_confidence)
        self._check_shapes()
        self._check_probabilities()

    def _check_shapes(self) -> None:
        expected = (len(self.ids), len(self.classes))
        if self.probs.shape != expected:
            raise InputError(f"Expected `probs` of shape {expected}, but got {self.probs.shape}.")
        if self.labels is not None and len(self.labels) != len(self.ids):
            raise InputError(f"Expected {len(self.ids)} labels, one per id, but got {len(self.labels)}.")
        names, counts = np.unique(self.ids, return_counts=True)
        if (counts > 1).any():
            raise InputError(f"Expected unique ids, but got {str(names[counts.argmax()])!r} {counts.max()} times.")

    def _check_probabilities(self) -> None:
        bad = ~np.isfinite(self.probs).all(axis=1)
        if bad.any():
            raise InputError(f"Expected finite probabilities, but got {self.probs[bad][0]} for {self.ids[bad][0]!r}.")
        off = (np.abs(self.probs.sum(axis=1) - 1.0) > _TOLERANCE) | (self.probs < -_TOLERANCE).any(axis=1)
        if off.any():
            row = self.probs[off][0]
            raise InputError(
                f"Expected probabilities that sum to 1, but got {row} (sum {row.sum():.4f}) for {self.ids[off][0]!r}."
            )

    def __len__(self) -> int:
        return len(self.ids)

    @property
    def votes(self) -> npt.NDArray[np.int64]:
        """(N,) index of the most probable class; ties go to the lower index."""
        return np.asarray(self.probs.argmax(axis=1), dtype=np.int64)

    @property
    def names(self) -> list[str]:
        """Name of the most probable class of each face, or `uncertain` where it is left undecided."""
        pairs = zip(self.votes, self.decided, strict=True)
        return [self.classes[vote] if decided else UNCERTAIN for vote, decided in pairs]

    @property
    def confidence(self) -> npt.NDArray[np.float64]:
        """(N,) probability of the most probable class."""
        return np.asarray(self.probs.max(axis=1))

    @property
    def decided(self) -> npt.NDArray[np.bool_]:
        """(N,) whether a face is sure enough to have a label."""
        return np.asarray(self.confidence >= (self.min_confidence or 0.0), dtype=np.bool_)

    def aligned(self, ids: npt.NDArray[Any], classes: tuple[str, ...]) -> Predictions:
        """The same predictions in the order of `ids`.

        Raises:
            InputError: The ids or the classes are not the same sets, or the classes are in another order.
        """
        if tuple(classes) != self.classes:
            raise InputError(f"Expected classes {list(classes)} in that order, but got {list(self.classes)}.")
        row = {str(name): i for i, name in enumerate(self.ids)}
        missing = [str(i) for i in ids if str(i) not in row]
        if missing or len(row) != len(ids):
            extra = sorted(set(row) - {str(i) for i in ids})
            raise InputError(
                f"Expected predictions for exactly {len(ids)} faces, but {len(missing)} are missing "
                f"({', '.join(missing[:3])}) and {len(extra)} are extra ({', '.join(extra[:3])})."
            )
        order = np.array([row[str(i)] for i in ids], dtype=np.int64)
        return Predictions(
            ids=self.ids[order],
            probs=self.probs[order],
            classes=self.classes,
            labels=None if self.labels is None else self.labels[order],
            agreement=None if self.agreement is None else self.agreement[order],
            min_confidence=self.min_confidence,
        )


def check_min_confidence(value: float | None, *, name: str = "min_confidence") -> None:
    """Refuse a least confidence that is none.

    Args:
        value: The least confidence; None for no limit.
        name: What the user calls it.

    Raises:
        InputError: It is not above 0, or above 1.
    """
    if value is not None and not 0.0 < value <= 1.0:
        raise InputError(f"Expected `{name}` to be above 0 and at most 1, but got {value:g}.")
