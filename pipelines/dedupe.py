"""Leaves training faces out that are the same picture as a validation face."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np

from backbones.errors import InputError
from pipelines.atomic import write_checked_json
from pipelines.bundle import read_json
from pipelines.console import Console
from pipelines.face_store import FaceStore
from pipelines.twins import find_twins

__all__ = ["without_twins"]

_FILE = "twins-2.json"


def without_twins(store: FaceStore, console: Console) -> FaceStore:
    """The stored faces without the training faces that have a twin in validation; the test split is not opened.

    The search is done once per stored data set. The digest of the training faces, and with it every member's resume
    key, follows from the faces that are left.

    Raises:
        InputError: Too few are left.
    """
    path = store.folder / _FILE
    rows = _read(path)
    if rows is None:
        train, validation = store.split("train").images, store.split("validation").images
        with console.bar("looking for twins", len(train)) as bar:
            found = np.unique(find_twins(train, validation, advance=bar.set).first)
        rows = [int(row) for row in found]
        write_checked_json(path, {"rows": rows})
    console.note(f"{len(rows):,} of {store.counts['train']:,} training faces left out: a validation face is their twin")
    if not rows:
        return store
    left = np.delete(np.asarray(store.split("train").labels), rows)
    if len(np.unique(left)) < 2:
        raise InputError(
            f"Expected training faces of at least 2 classes beside the twins of validation faces in {store.source}, "
            f"but {len(left):,} are left of {store.counts['train']:,}. Split the data anew."
        )
    return replace(store, left_out={"train": tuple(rows)})


def _read(path: Path) -> list[int] | None:
    """The rows found before; None if there is no whole record of them."""
    try:
        return [int(row) for row in read_json(path)["rows"]]
    except (InputError, KeyError, TypeError, ValueError):
        return None
