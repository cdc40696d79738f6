"""Takes a member without a network into a committee: matches its probabilities to the validation faces, stores them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from backbones.errors import InputError
from ensemble.bank import load_posteriors, save_posteriors
from ensemble.faces import Faces
from ensemble.metric import accuracy, nll
from ensemble.outside_spec import OUTSIDE, OutsideSpec
from ensemble.perturbation import fuse_views
from pipelines.atomic import write_checked_json
from pipelines.bundle import POSTERIORS, SPEC
from pipelines.checkpoint_place import remove_checkpoints
from pipelines.face_store import FaceStore
from pipelines.fit_data import FitData
from pipelines.member_folder import is_finished
from pipelines.posterior_file import read_posterior_file

__all__ = ["OutsideMember", "read_outside"]


@dataclass(frozen=True, kw_only=True)
class OutsideMember:
    """A member known by its probabilities of the validation faces.

    Attributes:
        spec: As planned.
        faces: The validation faces.
        probs: (V, N, K) probabilities in their order.
        ignored: Rows of the file that are of other faces of the data, by where these are.
    """

    spec: OutsideSpec
    faces: Faces
    probs: npt.NDArray[np.float64]
    ignored: Mapping[str, int]

    def fingerprint(self, data: FitData) -> str:
        """The member's resume key."""
        return self.spec.fingerprint(data.digest)

    def note(self) -> str | None:
        """What the user should know of the file."""
        if not self.ignored:
            return None
        counts = " and ".join(f"{count:,} of {place}" for place, count in self.ignored.items())
        return f"{self.spec.name}: rows of `{self.spec.posteriors.file}` that are no validation faces ignored: {counts}"

    def is_done(self, folder: Path, data: FitData) -> bool:
        """Whether the folder holds this very member."""
        try:
            return is_finished(folder, self.fingerprint(data)) and bool(load_posteriors(folder / POSTERIORS).splits)
        except InputError:
            return False  # damaged: written anew

    def write(self, folder: Path, data: FitData) -> None:
        """Posteriors first, then `spec.json`, which says that the member is finished; what is not known is null."""
        save_posteriors(
            folder / POSTERIORS,
            classes=self.faces.classes,
            ids={"validation": self.faces.ids},
            probs={"validation": self.probs},
            labels={"validation": self.faces.labels},
        )
        fused = fuse_views(self.probs)
        write_checked_json(folder / SPEC, {
            "fingerprint": self.fingerprint(data),
            "kind": OUTSIDE,
            "spec": self.spec.model_dump(mode="json"),
            "classes": list(self.faces.classes),
            "face_size": self.faces.size,
            "face_channels": self.faces.channels,
            "validation_accuracy": accuracy(fused, self.faces.labels),
            "validation_nll": nll(fused, self.faces.labels),
            **dict.fromkeys(("parameters", "epochs", "best_epoch", "seconds")),
        })  # fmt: skip
        remove_checkpoints(folder)


def read_outside(spec: OutsideSpec, path: Path, store: FaceStore, validation: Faces) -> OutsideMember:
    """Match a posterior file to the validation faces.

    Args:
        spec: The member as planned.
        path: Its file.
        store: The data; of other splits only the names of faces are looked at, and only if the file has more rows.
        validation: The validation faces.

    Raises:
        InputError: The file's classes are others, a face is missing, or a row is of no face of the data.
    """
    try:
        table = read_posterior_file(path).table(store.classes, spec.posteriors.classes)
        ids = [str(name) for name in validation.ids]
        probs, others = table.of(ids, "validation faces"), dict[str, list[str]]()
        if len(table.ids) > len(ids):
            others = {
                f"the {name} split": store.names(name).tolist() for name in ("train", "test") if name in store.counts
            }
            others["the classes left out"] = store.unwanted_names
        ignored = table.beyond(ids, others)
    except InputError as error:
        raise InputError(f"member `{spec.name}`: {error}") from None
    return OutsideMember(spec=spec, faces=validation, probs=probs, ignored=ignored)
