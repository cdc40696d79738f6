"""Finds faces of the data that a committee was fitted on under another name: a folder of it, the whole, one around it.

Read by itself, such a folder would be divided anew, and its test faces would pass for training or validation faces.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np

from backbones.errors import InputError
from ensemble.bank import load_posteriors
from ensemble.data_spec import DataSpec
from pipelines.bundle import POSTERIORS, read_committee
from pipelines.home_path import expanded
from pipelines.listing import Listing
from pipelines.readers import READERS, choose_reader
from pipelines.skip_report import SkipReport

__all__ = ["LOST", "own_place_in", "place_in_own", "with_own_splits"]

LOST = "lost"
"""Stands for the split of faces of the fit's own data, where that has changed and they may have been in any."""


def place_in_own(spec: DataSpec, source: str | Path) -> str | None:
    """Where a source lies in the data of a fit.

    Args:
        spec: The data of the fit; what it holds under which name is not looked at.
        source: A file or folder.

    Returns:
        The Posix path of a folder within the fit's source, "." of that source itself, None of what lies elsewhere or
        is drawn, and where the committee does not know the place, as a pack.
    """
    if not Path(spec.source).is_absolute():
        return None
    own, path = Path(spec.source).resolve(), expanded(source).resolve()
    inside = path == own or (path.is_dir() and path.is_relative_to(own))
    return path.relative_to(own).as_posix() if inside else None


def own_place_in(spec: DataSpec, source: str | Path) -> str | None:
    """Where the folder that a committee was fitted on lies in another one.

    Args:
        spec: The data of the fit.
        source: A file or folder.

    Returns:
        The Posix path of the fit's source within it; None if it does not lie there, or is no folder.
    """
    if not Path(spec.source).is_absolute():
        return None
    own, path = Path(spec.source).resolve(), expanded(source).resolve()
    return own.relative_to(path).as_posix() if own.is_dir() and own != path and own.is_relative_to(path) else None


def with_own_splits(listing: Listing, source: Path, spec: DataSpec, *, committee: Path) -> Listing:
    """Give faces of the fit's own data the splits that they had there.

    Where that data is divided otherwise today, since files have come or gone, only the validation faces are known.

    Args:
        listing: Of the source.
        source: Where it was read from.
        spec: The data of the fit.
        committee: The folder that the fit has left.
    """
    place, inside = place_in_own(spec, source), own_place_in(spec, source)
    if place is None and inside is None:
        return listing
    names = [str(name) for name in listing.entries or listing.ids]
    known = _splits_of_fit(spec, committee)
    if inside is None:
        splits = [known.get(name if place == "." else f"{place}/{name}", LOST) for name in names]
    else:  # what else is there keeps a test folder's name; drawn names mean nothing beside those of the fit
        pairs = zip(names, listing.splits.tolist(), strict=True)
        splits = [
            known.get(name.removeprefix(f"{inside}/"), LOST)
            if name.startswith(f"{inside}/")
            else ("test" if split == "test" else "")
            for name, split in pairs
        ]
    return replace(listing, splits=np.array(splits, dtype="<U10"))


def _splits_of_fit(spec: DataSpec, committee: Path) -> Mapping[str, str]:
    """Split of every face, under its file in the source or else its id."""
    try:
        reader = READERS.build(spec.reader or choose_reader(spec.source), **(spec.options or {}))
        own: Listing = reader.scan(spec.source, SkipReport() if spec.on_bad == "skip" else None)
        judged = _validation_ids(committee)
    except InputError:
        return {}  # one or the other is no longer what it was
    names = [str(name) for name in own.entries or own.ids]
    if judged <= set(own.ids[own.splits == "validation"].tolist()):
        return dict(zip(names, own.splits.tolist(), strict=True))
    return {name: "validation" for name, i in zip(names, own.ids.tolist(), strict=True) if i in judged}


def _validation_ids(committee: Path) -> set[str]:
    """Names of the faces that every member was judged on."""
    first = read_committee(committee).members[0]
    return set(load_posteriors(committee / "members" / first / POSTERIORS).splits["validation"].ids.tolist())
