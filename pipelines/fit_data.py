"""What members are trained and judged on. Loads no torch."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from ensemble.faces import Faces

__all__ = ["FitData"]


@dataclass(frozen=True, kw_only=True)
class FitData:
    """What members are trained on. The test split is not here, so that no fit can see it.

    Attributes:
        train: Faces to learn from.
        validation: Faces that pick the epoch.
        whole: The training split, if `train` is only a part of it: frozen features are computed once for all parts.
        places: (N,) where the faces of `train` stand in it.
    """

    train: Faces
    validation: Faces
    whole: Faces | None = None
    places: npt.NDArray[np.int64] | None = None

    @property
    def digest(self) -> str:
        """Digest of everything a fit sees."""
        parts = [d for f in (self.train, self.validation) for d in (f.digest, f.names_digest)]
        return hashlib.sha256("/".join(parts).encode()).hexdigest()

    def without(self, held_out: npt.NDArray[np.bool_]) -> FitData:
        """The same with a part of the training faces held out; `held_out` (N,) marks them."""
        places = np.flatnonzero(~held_out)
        return replace(self, train=self.train.take(places), whole=self.train, places=places)
