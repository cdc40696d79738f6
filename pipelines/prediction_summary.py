"""What `ensemble predict` says at its end: how many faces, which labels, and the accuracy where truths are known."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from ensemble.expression import class_named
from ensemble.metric import wilson_interval
from ensemble.predictions import Predictions
from pipelines.face_block import FaceBlock
from pipelines.own_split import LOST

__all__ = ["Summary"]


@dataclass
class Summary:
    """What a prediction run found.

    Attributes:
        min_confidence: Faces below it are left undecided; None decides all.
        faces: Faces predicted.
        labels: How often each class was predicted.
        undecided: Faces without a label.
        right: Right labels by split, for labelled faces.
        decided: Labelled faces with a label by split.
        known: Labelled faces of the committee's classes by split.
        strange: Labelled faces of other classes, by class.
        missed: Photos without a face.
        drawn: What was drawn, in words.
    """

    min_confidence: float | None = None
    faces: int = 0
    labels: Counter[str] = field(default_factory=Counter)
    undecided: int = 0
    right: Counter[str] = field(default_factory=Counter)
    decided: Counter[str] = field(default_factory=Counter)
    known: Counter[str] = field(default_factory=Counter)
    strange: Counter[str] = field(default_factory=Counter)
    missed: list[str] = field(default_factory=list)
    drawn: list[str] = field(default_factory=list)

    def add(self, block: FaceBlock, predictions: Predictions) -> None:
        """Count a block."""
        sure = predictions.decided
        self.faces += len(predictions)
        self.labels.update(name for name, decided in zip(predictions.names, sure, strict=True) if decided)
        self.undecided += int((~sure).sum())
        labels = true_labels(block, predictions.classes)
        self.strange.update(name for name, label in zip(block.truths, labels, strict=True) if name and label < 0)
        for vote, decided, label, split in zip(predictions.votes, sure, labels, block.splits, strict=True):
            if label >= 0:
                self.known[split] += 1
                self.decided[split] += int(decided)
                self.right[split] += int(decided and vote == label)

    def counts(self) -> list[str]:
        """How often each class was predicted, in words, and how many faces were left undecided."""
        counts = [f"{label} {count:,}" for label, count in self.labels.most_common()]
        return counts if self.min_confidence is None else [*counts, f"left undecided {self.undecided:,}"]

    def lines(self) -> list[str]:
        """Accuracy per split in words; the test split is left to `ensemble evaluate`, which records the look."""
        lines = []
        for split, count in self.known.items():
            if split == "test":
                lines.append(f"test: {count:,} faces, not scored here.")
                continue
            if split == LOST:
                lines.append(
                    f"{count:,} faces, not scored: the data has changed since the fit, and its test faces may be here."
                )
                continue
            lines.append(f"{split or 'labelled'}: {self._scored(split)}{self._covered(split, count)}")
        if self.strange:
            counts = ", ".join(f"{name} {count:,}" for name, count in self.strange.most_common())
            lines.append(f"not scored, of classes that the committee does not know: {counts}.")
        return lines

    def _scored(self, split: str) -> str:
        right, decided = self.right[split], self.decided[split]
        if not decided:
            return "no face decided"
        low, high = wilson_interval(right, decided)
        what = "faces" if self.min_confidence is None else "decided faces"
        return f"accuracy {right / decided:.4f} (95 % {low:.4f}-{high:.4f}) of {decided:,} {what}"

    def _covered(self, split: str, count: int) -> str:
        if self.min_confidence is None:
            return ""
        decided = self.decided[split]
        return f", coverage {decided / count:.4f} of {count:,}, {count - decided:,} left undecided"


def true_labels(block: FaceBlock, classes: Sequence[str]) -> npt.NDArray[np.int64]:
    """(N,) indices among the committee's classes of the true ones, found by name; -1 where unknown or none of them."""
    names = {name: class_named(name, classes) for name in set(block.truths) - {""}}
    index = {name: list(classes).index(own) for name, own in names.items() if own is not None}
    return np.array([index.get(name, -1) for name in block.truths], dtype=np.int64)
