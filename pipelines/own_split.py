"""Finds faces of the data that a committee was fitted on under another name: a folder of it, the whole, one around it.

Read by itself, such a folder would be divided anew, and its test faces would pass for training or validation faces.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np

from backbones.errors import InputError
from ensemble.data_spec import DataSpec
from pipelines.bundle import read_committee
from pipelines.home_path import expanded
from pipelines.listing import Listing
from pipelines.readers import READERS, choose_reader
from pipelines.skip_report import SkipReport
from pipelines.stored_posteriors import stored_posteriors

__all__ = ["LOST", "place_in_own", "with_own_splits"]

LOST = "lost"
"""Stands for the split of faces of the fit's own data, where that has changed and they may have been in any."""


def place_in_own(spec: DataSpec, source: str | Path) -> str | None:
    """Where a source lies, seen from the data of a fit.

    Args:
        spec: The data of the fit; what it holds under which name is not looked at.
        source: A file or folder.

    Returns:
        The Posix path of a folder within the fit's source, "." of that source itself, ".." and so on of a folder around
        it; None of what lies elsewhere or is drawn, and where the committee does not know the place, as a pack.
    """
    if not Path(spec.source).is_absolute():
        return None
    own, path = Path(spec.source).resolve(), expanded(source).resolve()
    inside = path.is_dir() and path.is_relative_to(own)
    around = own.is_dir() and own.is_relative_to(path)
    return Path(os.path.relpath(path, own)).as_posix() if path == own or inside or around else None


def with_own_splits(listing: Listing, source: Path, spec: DataSpec, *, committee: Path) -> Listing:
    """Give faces of the fit's own data the splits that they had there.

    Where that data is divided otherwise today, since files have come or gone, only the validation faces are known. What
    lies beside it is of no split, unless it is of a test folder: drawn names mean nothing beside those of the fit.

    Args:
        listing: Of the source.
        source: Where it was read from.
        spec: The data of the fit.
        committee: The folder that the fit has left.
    """
    if place_in_own(spec, source) is None:
        return listing
    own, root, known = f"{Path(spec.source).resolve()}/", source.resolve(), _splits_of_fit(spec, committee)
    splits = []
    for name, split in zip(listing.entries or listing.ids, listing.splits, strict=True):
        path = f"{root}/{name}"
        beside = "test" if split == "test" else ""
        splits.append(known.get(path.removeprefix(own), LOST) if path.startswith(own) else beside)
    return replace(listing, splits=np.array(splits, dtype="<U10"))


def _splits_of_fit(spec: DataSpec, committee: Path) -> Mapping[str, str]:
    """Split of every face, under its file in the source or else its id."""
    try:
        reader = READERS.build(spec.reader or choose_reader(spec.source), **(spec.options or {}))
        own: Listing = reader.scan(spec.source, SkipReport() if spec.on_bad == "skip" else None)
        judged = set(stored_posteriors(committee, read_committee(committee).members[:1]).ids.tolist())
    except InputError:
        return {}  # one or the other is no longer what it was
    names = [str(name) for name in own.entries or own.ids]
    if judged <= set(own.ids[own.splits == "validation"].tolist()):
        return dict(zip(names, own.splits.tolist(), strict=True))
    return {name: "validation" for name, i in zip(names, own.ids.tolist(), strict=True) if i in judged}
