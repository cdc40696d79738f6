"""What members are trained and judged on. Loads no torch."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import numpy.typing as npt

from backbones.errors import InputError
from ensemble.faces import Faces
from pipelines.bundle import REPORT, read_facts

__all__ = ["FitData", "are_faces_of_fit", "require_faces_of_fit"]


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
        """Digest of everything a fit sees, the order of the faces as well."""
        parts = [d for f in (self.train, self.validation) for d in (f.digest, f.order_digest)]
        return hashlib.sha256("/".join(parts).encode()).hexdigest()

    def without(self, held_out: npt.NDArray[np.bool_]) -> FitData:
        """The same with a part of the training faces held out; `held_out` (N,) marks them."""
        places = np.flatnonzero(~held_out)
        return replace(self, train=self.train.take(places), whole=self.train, places=places)


def are_faces_of_fit(folder: Path, faces: FitData) -> bool:
    """Whether a committee was fitted on these, wherever they lie."""
    return bool((read_facts(folder).get("data") or {}).get("digest") == faces.digest)


def require_faces_of_fit(folder: Path, faces: FitData, source: str) -> None:
    """Refuse faces other than those that a committee was fitted on.

    Args:
        folder: The committee's.
        faces: What `source` holds.
        source: For the message.

    Raises:
        InputError: They are others, or the committee does not say what it was fitted on.
    """
    known = read_facts(folder).get("data")
    if known is None:
        raise InputError(f"Expected `{folder / REPORT}` to say what data it is of, but it does not. Fit it again.")
    if known["digest"] != faces.digest:
        raise InputError(
            f"Expected the faces that `{folder}` was fitted on, but `{source}` holds others. Name them: `--data`."
        )
