"""`ensemble data audit`: what is wrong with labelled faces before anything is trained on them.

Looks for one picture in two splits, one picture with two labels, one person in two splits, faces that are blank, and
labels that the judges' votes contradict. Changes nothing.
"""

from __future__ import annotations

import itertools
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from ensemble.data_spec import DataSpec
from ensemble.faces import Faces
from pipelines.atomic import write_json
from pipelines.console import Console
from pipelines.data_opening import open_data
from pipelines.face_store import FaceStore
from pipelines.home_path import expanded
from pipelines.output_place import check_file
from pipelines.twins import Twins, find_twins
from pipelines.votes import judged_no_face
from pipelines.workspace import Workspace

__all__ = ["audit", "audit_data"]

_BLANK = 5.0
"""Standard deviation in grey levels below which a face shows nothing."""


def audit_data(source: str, *, votes: str | None = None, out: str | Path | None = None) -> dict[str, Any]:
    """Audit a data source, print the findings, and write them with the names of all faces concerned if asked to.

    Args:
        source: A path, or `synthetic`.
        votes: A FER+ votes file.
        out: JSON file for the findings.

    Raises:
        InputError: The source is missing, damaged or of no known layout, or `out` is no place for the findings.
    """
    if out is not None:
        read = [expanded(name) for name in (source, votes) if name is not None]
        check_file(expanded(out), suffixes=(".json",), ours=_is_audit, inputs=read)
    console = Console()
    store = open_data(DataSpec(source=source, votes=votes), Workspace(), console)
    findings = audit(store, console, votes=None if votes is None else Path(votes))
    title = f"{source}: {sum(store.counts.values()):,} faces, digest {store.digest[:12]}"
    header = ("where", "faces", "copies", "twins", "other label", "no face", "label against votes")
    console.table(title, header, [_row(name, found) for name, found in findings.items()])
    console.result(
        "copies: the same pixels; twins: one picture mirrored, re-encoded, brighter or darker as well; other label:\n"
        "twins that are labelled differently; no face: one grey, or most judges say so.\n"
        "`data: {dedupe: true}` leaves training faces with a validation twin out."
    )
    if out is not None:
        write_json(expanded(out), {"source": Path(source).name, "digest": store.digest, "findings": findings})
        console.note(f"findings: {out}")
    return findings


def _is_audit(path: Path) -> bool:
    """Whether a file holds findings written before."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return False
    return isinstance(content, dict) and set(content) == {"source", "digest", "findings"}


def audit(store: FaceStore, console: Console, *, votes: Path | None = None) -> dict[str, dict[str, Any]]:
    """Findings by split, and by pair of splits.

    Args:
        store: The faces.
        console: Shows the progress.
        votes: The FER+ votes file that the store was read with, whose judges may say that a picture shows no face.

    Returns:
        For every place `faces`, `copies`, `twins` (faces of the second split that have one), `conflicts` (of these,
        those with another label) and `pairs` (names, similarity, mirrored); for splits also `blank` and
        `no_face` (names) and `against_votes`, for pairs of splits `groups` that are in both.
    """
    splits = {name: store.split(name) for name in store.counts}
    findings: dict[str, dict[str, Any]] = {}
    for name, faces in splits.items():
        with console.bar(f"{name}: looking for twins", len(faces)) as bar:
            twins = find_twins(faces.images, advance=bar.set)
        blank = faces.ids[[bool(np.std(image) < _BLANK) for image in faces.images]]
        findings[name] = {
            **_pairs(faces, faces, twins), "blank": blank.tolist(),
            "no_face": [] if votes is None else judged_no_face(votes, faces.ids), "against_votes": _contradicted(faces),
        }  # fmt: skip
    for one, other in itertools.combinations(splits, 2):
        with console.bar(f"{one} and {other}: looking for twins", len(splits[one])) as bar:
            twins = find_twins(splits[one].images, splits[other].images, advance=bar.set)
        findings[f"{one} and {other}"] = {
            **_pairs(splits[one], splits[other], twins), "groups": _common_groups(store, one, other)
        }  # fmt: skip
    return findings


def _pairs(first: Faces, second: Faces, twins: Twins) -> dict[str, Any]:
    same = np.array(
        [np.array_equal(first.images[i], second.images[j]) for i, j in zip(twins.first, twins.second, strict=True)],
        dtype=bool,
    )
    conflicting = first.labels[twins.first] != second.labels[twins.second]
    listed = zip(twins.first, twins.second, twins.similarity, twins.mirrored, conflicting, strict=True)
    return {
        "faces": len(second),
        "copies": len(np.unique(twins.second[same])),
        "twins": len(np.unique(twins.second)),
        "conflicts": len(np.unique(twins.second[conflicting])),
        "pairs": [
            {
                "first": str(first.ids[i]), "second": str(second.ids[j]), "similarity": round(float(s), 4),
                "mirrored": bool(m), "labels_differ": bool(c),
            }
            for i, j, s, m, c in listed
        ],
    }  # fmt: skip


def _contradicted(faces: Faces) -> int | None:
    """Faces whose label is not the judges' first choice; None without votes."""
    if faces.votes is None:
        return None
    chosen: npt.NDArray[np.bool_] = faces.votes[np.arange(len(faces)), faces.labels] < faces.votes.max(axis=1)
    return int(chosen.sum())


def _common_groups(store: FaceStore, one: str, other: str) -> list[str]:
    first, second = store.groups(one), store.groups(other)
    if first is None or second is None:
        return []
    return sorted(set(first.tolist()) & set(second.tolist()))


def _row(name: str, found: Mapping[str, Any]) -> tuple[str, ...]:
    counts = [f"{found[key]:,}" for key in ("faces", "copies", "twins", "conflicts")]
    votes = found.get("against_votes")
    groups = f"{len(found['groups'])} groups in both" if found.get("groups") else ""
    return (
        name,
        *counts,
        str(len({*found["blank"], *found["no_face"]})) if "blank" in found else groups,
        "" if votes is None else f"{votes:,}",
    )
