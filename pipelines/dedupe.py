"""Leaves training faces out that are the same picture as a validation face."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from pipelines.atomic import replacing
from pipelines.console import Console
from pipelines.face_store import FaceStore
from pipelines.twins import find_twins

__all__ = ["without_twins"]

_FILE = "twins-1.npy"


def without_twins(store: FaceStore, console: Console) -> FaceStore:
    """The stored faces without the training faces that have a twin in validation; the test split is not opened.

    The search is done once per stored data set. The digest of the training faces, and with it every member's resume
    key, follows from the faces that are left.
    """
    path = store.folder / _FILE
    if not path.is_file():
        train, validation = store.split("train").images, store.split("validation").images
        with console.bar("looking for twins", len(train)) as bar:
            found = np.unique(find_twins(train, validation, advance=bar.set).first)
        with replacing(path) as temporary, temporary.open("wb") as file:
            np.save(file, found)
    rows = np.load(path)
    console.note(f"{len(rows):,} of {store.counts['train']:,} training faces left out: a validation face is their twin")
    return replace(store, left_out={"train": tuple(map(int, rows))}) if len(rows) else store
