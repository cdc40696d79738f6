"""Looks at finished members before a fit goes on: what is damaged is put aside, so that it is made anew.

A member follows from its spec, its seed and its faces, so what is made anew has the same bytes.
"""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from backbones.errors import InputError
from ensemble.bank import is_whole
from pipelines.bundle import HISTORY, POSTERIORS, SPEC, WEIGHTS, read_json
from pipelines.fingerprint import digest_file
from pipelines.member_folder import network_folders

__all__ = ["put_damaged_aside"]

_DIGESTS = ((WEIGHTS, "weights_sha256"), (HISTORY, "history_sha256"))


def put_damaged_aside(folder: Path) -> list[str]:
    """Look at every file of a finished member, or of one on its way; put aside what is damaged.

    Of a member trained in folds only the copies that are damaged are made anew, and of one whose network is whole only
    the posteriors.

    Args:
        folder: The member's folder.

    Returns:
        A line on each damage, and what is done.
    """
    if not (folder / SPEC).is_file():
        copies = sorted(spec.parent for spec in (folder / "folds").glob(f"*/{SPEC}"))
        return [note for copy in copies for note in _look(copy, f"{folder.name}-{copy.name}", folder)]
    content = _content(folder)
    if isinstance(content, str):
        return [_put_aside(folder, folder.name, folder, content)]
    places = network_folders(folder, content)
    notes = [
        note for place in places if place != folder for note in _look(place, f"{folder.name}-{place.name}", folder)
    ]
    if notes:
        (folder / SPEC).unlink()  # its copies are made anew, and then what is put together from them
        return notes
    return _look(folder, folder.name, folder, content)


def _look(place: Path, name: str, folder: Path, content: Mapping[str, Any] | str | None = None) -> list[str]:
    """Look at one network's folder."""
    content = _content(place) if content is None else content
    if isinstance(content, str):
        return [_put_aside(place, name, folder, content)]
    for file, key in _DIGESTS:
        expected = content.get(key)
        if expected is not None and (not (place / file).is_file() or digest_file(place / file) != expected):
            return [_put_aside(place, name, folder, f"{file} is damaged or gone")]
    bank = place / POSTERIORS
    if bank.is_file() and not is_whole(bank):
        bank.unlink()
        return [f"{POSTERIORS} is damaged and is computed anew"]
    return []


def _content(folder: Path) -> dict[str, Any] | str:
    """A member's `spec.json`, or that it is damaged."""
    try:
        content = read_json(folder / SPEC)
    except InputError:
        return f"{SPEC} is damaged"
    return content if {"fingerprint", "spec"} <= set(content) else f"{SPEC} is damaged"


def _put_aside(place: Path, name: str, folder: Path, damage: str) -> str:
    shelf = folder.parent.parent / "replaced"
    shelf.mkdir(parents=True, exist_ok=True)
    target = shelf / f"{name}-damaged"
    shutil.rmtree(target, ignore_errors=True)
    place.rename(target)
    return f"{damage}: the member is trained anew, with the same result, and the damaged one put aside in `{target}`"
