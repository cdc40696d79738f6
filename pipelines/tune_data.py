"""The faces a hyper-parameter search sees: a fixed draw of the training faces, and what each trial is judged on.

The test split is never opened, and with cross-validation neither is the validation split.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from backbones.errors import InputError
from ensemble.canonical import digest_of
from ensemble.faces import Faces
from ensemble.tune_spec import TuneSpec
from pipelines.face_store import FaceStore
from pipelines.fit_data import FitData
from pipelines.seed import derived_seed
from pipelines.split import deal_folds, split_faces

__all__ = ["TuneData", "drawn"]

Rows = npt.NDArray[np.int64]


@dataclass(frozen=True, kw_only=True)
class TuneData:
    """The faces of a search.

    Attributes:
        train: The training faces, or the draw of them.
        validation: The validation split; None with cross-validation.
        fold: (N,) index of the fold that holds each training face out; None without cross-validation.
    """

    train: Faces
    validation: Faces | None
    fold: Rows | None

    @classmethod
    def open(cls, store: FaceStore, tune: TuneSpec) -> TuneData:
        """Open the splits that a search needs.

        Raises:
            InputError: There are too few faces for the folds.
        """
        train, groups = store.split("train"), store.groups("train")
        if tune.faces is not None and tune.faces < len(train):
            rows = drawn(train.labels, tune.faces, seed=derived_seed(tune.seed, "faces"))
            train, groups = train.take(rows), None if groups is None else groups[rows]
        if tune.folds == 1:
            return cls(train=train, validation=store.split("validation"), fold=None)
        units = len(train) if groups is None else len(np.unique(groups))
        if tune.folds > units:
            what = "faces" if groups is None else "groups of faces"
            raise InputError(f"Expected at most {units} `tune.folds` for as many {what}, but got {tune.folds}.")
        fold = deal_folds(train.labels, groups, folds=tune.folds, seed=derived_seed(tune.seed, "folds"))
        return cls(train=train, validation=None, fold=fold)

    @property
    def folds(self) -> int:
        """How often a trial is trained."""
        return 1 if self.fold is None else int(self.fold.max()) + 1

    @property
    def splits(self) -> list[Faces]:
        """The splits that are seen."""
        return [faces for faces in (self.train, self.validation) if faces is not None]

    @property
    def digest(self) -> str:
        """Digest of all that the trials see."""
        faces = [[f.split, f.digest, f.order_digest] for f in self.splits]
        return digest_of({"faces": faces, "fold": None if self.fold is None else self.fold.tolist()})

    def part(self, number: int) -> FitData:
        """What one fold is trained and judged on; without cross-validation there is number 0 alone."""
        if self.validation is not None:
            return FitData(train=self.train, validation=self.validation)
        held = self.train.take(self.fold == number)
        return FitData(train=self.train.take(self.fold != number), validation=replace(held, split="validation"))


def drawn(labels: npt.NDArray[np.int64], count: int, *, seed: int) -> Rows:
    """Rows of `count` faces with the classes' shares, drawn by the seed; all rows if there are no more."""
    if count >= len(labels):
        return np.arange(len(labels))
    splits = split_faces(labels, validation=count / len(labels), test=0.0, seed=seed)
    return np.flatnonzero(splits == "validation")
