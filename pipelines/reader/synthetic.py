"""Painted faces: the data set that is always there."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cached_property
from importlib.util import find_spec
from pathlib import Path
from typing import ClassVar

import numpy as np
import numpy.typing as npt

from backbones.parameter import Count, Natural
from ensemble.expression import EXPRESSIONS
from pipelines.fingerprint import digest_file, digest_text
from pipelines.listing import Listing
from pipelines.readers import READERS
from pipelines.skip_report import SkipReport
from pipelines.split import split_faces

__all__ = ["Synthetic"]

_BLOCK = 1024


@READERS.register("synthetic")
class Synthetic:
    """Painted faces, 80 % to train on, 10 % each to validate and to test; no person is in two splits.

    Args:
        count: Faces in all.
        seed: Another seed, other people.
    """

    fallback: ClassVar[bool] = False

    def __init__(self, *, count: Count = 3000, seed: Natural = 0) -> None:
        self.count = count
        self.seed = seed

    @classmethod
    def claims(cls, source: Path | str) -> bool:
        """Whether the source is the word `synthetic`."""
        return source == "synthetic"

    def fingerprint(self, source: Path | str) -> str:
        """sha256 of the parameters and of the code that paints, so that stored faces never outlive their painter."""
        spec = find_spec("pipelines.synthetic")
        folders = [Path(folder) for folder in (spec and spec.submodule_search_locations) or ()]
        painter = [digest_file(file) for folder in folders for file in sorted(folder.glob("*.py"))]
        return digest_text(["synthetic", self.count, self.seed, *painter])

    def scan(self, source: Path | str, skipped: SkipReport | None = None) -> Listing:
        """Paint the faces; their people decide the splits.

        Raises:
            InputError: There are too few faces for three splits.
        """
        images, labels, people = self._faces
        groups = np.char.add("person_", people.astype(np.str_))
        return Listing(
            ids=np.array([f"synthetic_{self.seed}_{row}" for row in range(len(labels))], dtype=np.str_),
            labels=labels,
            splits=split_faces(labels, validation=0.1, test=0.1, seed=self.seed, groups=groups),
            classes=EXPRESSIONS,
            shape=images.shape[1:],
            groups=groups,
        )

    def decode(self, source: Path | str, listing: Listing) -> Iterator[npt.NDArray[np.uint8]]:
        """Yield blocks of faces in the order of the listing."""
        images, _, _ = self._faces
        for start in range(0, len(images), _BLOCK):
            yield images[start : start + _BLOCK]

    @cached_property
    def _faces(self) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.int64], npt.NDArray[np.int64]]:
        from pipelines.synthetic import synthetic_faces

        return synthetic_faces(self.count, seed=self.seed)
