"""What members without a network say of the faces to predict: read from files, looked up face by face."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

from backbones.errors import InputError, nearest
from ensemble.class_meaning import Wanted
from ensemble.perturbation import fuse_views
from ensemble.posterior_table import PosteriorTable
from pipelines.posterior_file import read_posterior_file

__all__ = ["OutsideAnswers", "named_files", "outside_answers"]


class OutsideAnswers:
    """One member's probabilities of faces by name.

    Args:
        table: What it says; None if that is not known.
    """

    def __init__(self, table: PosteriorTable | None = None) -> None:
        self.table = table
        self._face_of: dict[int, str] = {}

    @property
    def given(self) -> bool:
        """Whether there are any answers."""
        return self.table is not None

    def __call__(self, faces: Sequence[str]) -> npt.NDArray[np.float64]:
        """(N, K) probabilities of the faces of these names, views fused.

        Raises:
            InputError: A face has no row, or two faces would share one.
        """
        assert self.table is not None  # checked before any face is predicted
        probs = fuse_views(self.table.of(faces, "faces to predict"))
        for face, row in zip(faces, self.table.rows(faces).tolist(), strict=True):
            if self._face_of.setdefault(row, face) != face:
                raise InputError(
                    f"Expected a row of its own for every face in {self.table.source}, but {self._face_of[row]!r} and "
                    f"{face!r} share that of {self.table.ids[row]!r}. Name the faces with their folders."
                )
        return probs


def outside_answers(
    members: Sequence[str],
    files: Mapping[str, str | Path],
    *,
    classes: Sequence[str],
    wanted: Mapping[str, Wanted] | None = None,
) -> dict[str, OutsideAnswers]:
    """The answers of the members without a network.

    Args:
        members: Their names.
        files: Posterior files by name.
        classes: The committee's classes.
        wanted: What becomes of the classes of members whose files have others, by name.

    Raises:
        InputError: A name is no such member's, or a file is wrong.
    """
    for name in files:
        if name not in members:
            hint = nearest(name, members) or "All members of the committee have networks: leave it out."
            raise InputError(f"Expected `--posteriors` for a member without a network, but got {name!r}. {hint}")
    maps = wanted or {}
    tables = {name: read_posterior_file(Path(file)).table(classes, maps.get(name)) for name, file in files.items()}
    return {name: OutsideAnswers(tables.get(name)) for name in members}


def named_files(texts: Iterable[str]) -> dict[str, str]:
    """Files by member's name, from texts as `their_net=theirs.csv`.

    Raises:
        InputError: A text is not of that form, or a name stands twice.

    Example:
        >>> named_files(["their_net=theirs.csv"])
        {'their_net': 'theirs.csv'}
    """
    files: dict[str, str] = {}
    for text in texts:
        name, equals, file = text.partition("=")
        if not (name and equals and file):
            raise InputError(f"Expected `--posteriors` as NAME=FILE, but got {text!r}.")
        if name in files:
            raise InputError(f"Expected one file of `--posteriors` for each member, but got two for {name!r}.")
        files[name] = file
    return files
