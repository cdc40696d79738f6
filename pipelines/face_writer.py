"""Writes what a reader decodes into one set of `.npy` files per split, in one pass and constant memory."""

from __future__ import annotations

import math
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from backbones.errors import InputError
from ensemble.faces import SPLITS, content_digest, face_digests, order_digest
from pipelines.block_file import reserve
from pipelines.fingerprint import digest_text
from pipelines.listing import Listing, UnevenFacesError, check_listing
from pipelines.mapped_reader import MappedReader
from pipelines.readers import Decoder
from pipelines.skip_report import SkipReport
from pipelines.split_overlap import check_overlap
from pipelines.votes import read_votes

__all__ = ["write_faces"]

_RESTARTS = 2
"""A decoding starts again at most for the first face of another size, and for the first colour image."""

_Arrays = dict[str, npt.NDArray[Any]]


def write_faces(
    reader: Decoder,
    source: str | Path,
    *,
    votes: Path | None,
    mapped: MappedReader | None = None,
    skipped: SkipReport | None = None,
    judged: bool = False,
    folder: Path,
    progress: Callable[[int, int], None] | None,
) -> dict[str, Any]:
    """Read a source and write its faces.

    Args:
        reader: Understands the source.
        source: Where the faces come from.
        votes: FER+ votes file.
        mapped: The reader within `reader` that gives the faces the classes wanted, if there is one.
        skipped: Told of faces that cannot be read, which are then left out; None refuses them.
        judged: Whether a committee is only judged on them, in which case any splits may be there.
        folder: An empty folder; gets `<split>.{images,labels,ids,votes,groups}.npy`, and `unwanted.npy` of a map.
        progress: Called with (faces done, faces in all).

    Returns:
        Classes, shape, counts and digests, fit for JSON.

    Raises:
        InputError: The source cannot be read, or no committee can be fitted, or judged, on it.
    """
    listing = reader.scan(source, skipped)
    check_listing(listing, source=str(source), judged=judged)
    arrays = _arrays(listing, votes, mapped)
    splits = [split for split in SPLITS if (listing.splits == split).any()]
    listing = _write_images(reader, source, listing, folder, progress)
    check_overlap(folder, splits, source=str(source))
    for split in splits:
        for name, values in arrays.items():
            np.save(folder / f"{split}.{name}.npy", values[listing.splits == split])
    names = listing.classes if mapped is not None and not mapped.class_map.is_identity else ()
    singles = {split: _face_digests(folder, split) for split in splits}
    digests = {split: content_digest(singles[split], classes=names) for split in splits}
    labels = {split: listing.labels[listing.splits == split] for split in splits}
    return {
        "classes": list(listing.classes),
        "size": listing.shape[0],
        "channels": 1 if len(listing.shape) == 2 else listing.shape[2],
        "counts": {split: len(labels[split]) for split in splits},
        "class_counts": {s: np.bincount(labels[s], minlength=len(listing.classes)).tolist() for s in splits},
        "digest": digest_text([*listing.classes, *(f"{split} {digests[split]}" for split in splits)]),
        "digests": digests,
        "order_digests": {s: order_digest(singles[s], listing.ids[listing.splits == s]) for s in splits},
        **(_unwanted(mapped, folder) if mapped else {}),
    }


def _unwanted(mapped: MappedReader, folder: Path) -> dict[str, Any]:
    """Keep the names of the faces left out, so that whoever says something of them is understood."""
    np.save(folder / "unwanted.npy", mapped.unwanted_ids)
    return {"mapped": not mapped.class_map.is_identity, "unwanted": mapped.unwanted}


def _arrays(listing: Listing, votes: Path | None, mapped: MappedReader | None) -> _Arrays:
    arrays: _Arrays = {"labels": listing.labels, "ids": listing.ids}
    if listing.groups is not None:
        arrays["groups"] = listing.groups
    if votes is not None:
        arrays["votes"] = read_votes(
            votes, ids=listing.ids, labels=listing.labels, splits=listing.splits, classes=listing.classes,
            class_map=mapped.class_map if mapped else None,
            whole=mapped.whole if mapped else len(listing) + len(listing.passed_over),
        )  # fmt: skip
    return arrays


def _write_images(
    reader: Decoder,
    source: str | Path,
    listing: Listing,
    folder: Path,
    progress: Callable[[int, int], None] | None,
) -> Listing:
    """Decode into the splits' files; the listing comes back with the shape that the faces turned out to have."""
    for _ in range(_RESTARTS):
        try:
            _write_blocks(reader, source, listing, folder, progress)
            return listing
        except UnevenFacesError as uneven:
            listing = uneven.listing
    _write_blocks(reader, source, listing, folder, progress)
    return listing


def _write_blocks(
    reader: Decoder,
    source: str | Path,
    listing: Listing,
    folder: Path,
    progress: Callable[[int, int], None] | None,
) -> None:
    _check_room(listing, source, folder)
    files: _Arrays = {}
    target = np.zeros(len(listing), dtype=np.int64)  # row of each face in its split's file
    for split in set(listing.splits.tolist()):
        rows = np.flatnonzero(listing.splits == split)
        target[rows] = np.arange(len(rows))
        files[split] = np.lib.format.open_memmap(
            folder / f"{split}.images.npy", mode="w+", dtype=np.uint8, shape=(len(rows), *listing.shape)
        )
        reserve(folder / f"{split}.images.npy")
    done = 0
    for block in reader.decode(source, listing):
        part = slice(done, done + len(block))
        for split, images in files.items():
            chosen = listing.splits[part] == split
            images[target[part][chosen]] = block[chosen]
        done += len(block)
        if progress is not None:
            progress(done, len(listing))
    if done != len(listing):
        raise InputError(f"Expected {len(listing)} faces in {source}, but decoded {done}. Did it change meanwhile?")


def _check_room(listing: Listing, source: str | Path, folder: Path) -> None:
    """Refuse faces that would fill the disk."""
    wanted, free = len(listing) * math.prod(listing.shape), shutil.disk_usage(folder).free
    if wanted > free:
        raise InputError(
            f"Expected room for {len(listing):,} faces of {listing.shape[0]} by {listing.shape[1]} pixels from "
            f"{source}, which take {wanted:,} bytes, but {folder.parent} has {free:,} left. Say a smaller "
            "`data: {size: …}`."
        )


def _face_digests(folder: Path, split: str) -> list[bytes]:
    # As a plain array: indexing a memmap row by row costs more than hashing the row.
    images = np.asarray(np.load(folder / f"{split}.images.npy", mmap_mode="r"))
    votes = folder / f"{split}.votes.npy"
    labels = np.load(folder / f"{split}.labels.npy")
    return face_digests(images, labels, np.load(votes) if votes.exists() else None)
