"""Finds faces of the data that a committee was fitted on under another name, as one folder of it.

Read by itself, such a folder would be divided anew, and its test faces would pass for training or validation faces.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np

from backbones.errors import InputError
from ensemble.data_spec import DataSpec
from pipelines.home_path import expanded
from pipelines.listing import Listing
from pipelines.readers import READERS, choose_reader
from pipelines.skip_report import SkipReport

__all__ = ["place_in_own", "with_own_splits"]


def place_in_own(spec: DataSpec, source: str | Path) -> str | None:
    """Where a source lies in the data of a fit.

    Args:
        spec: The data of the fit; what it holds under which name is not looked at.
        source: A file or folder.

    Returns:
        The Posix path of a folder within the fit's source, "." of that source itself, None of what lies elsewhere or
        is drawn.
    """
    if "synthetic" in (spec.source, str(source)):
        return None
    own, path = expanded(spec.source).resolve(), expanded(source).resolve()
    inside = path == own or (path.is_dir() and path.is_relative_to(own))
    return path.relative_to(own).as_posix() if inside else None


def with_own_splits(listing: Listing, source: Path, spec: DataSpec) -> Listing:
    """Give image files of the fit's own data the splits that they had there; those it lacked have none.

    Args:
        listing: Of the source.
        source: Where it was read from.
        spec: The data of the fit.
    """
    place = place_in_own(spec, source)
    if place is None or not listing.entries:
        return listing
    try:
        reader = READERS.build(spec.reader or choose_reader(spec.source), **(spec.options or {}))
        own: Listing = reader.scan(spec.source, SkipReport() if spec.on_bad == "skip" else None)
    except InputError:
        return listing  # it is no longer what was fitted on
    split_of = dict(zip(own.entries, own.splits, strict=True))
    names = listing.entries if place == "." else [f"{place}/{name}" for name in listing.entries]
    return replace(listing, splits=np.array([split_of.get(name, "") for name in names], dtype="<U10"))
