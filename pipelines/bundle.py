"""A finished committee's folder: resolved YAML, members, committee, report, and a manifest written last.

committee.yaml  manifest.json  committee.json  held_out.npz  report.json  report.md  report.html  tracking.json
members/<name>/{spec.json, weights.safetensors, posteriors.npz, history.json}; outside members have no network, and a
member trained in folds has one of these folders per copy, members/<name>/folds/<number>.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from backbones.errors import InputError
from backbones.limits import JSON_BYTES, check_size
from ensemble.canonical import digest_of
from ensemble.committee import Committee
from pipelines.atomic import CHECKSUM, write_checked_json
from pipelines.bundle_content import ReportContent, ReportFacts, ResolvedContent, check_content
from pipelines.fingerprint import digest_file
from pipelines.workspace import MANIFEST, next_number
from pipelines.yaml_file import read_yaml

__all__ = [
    "COMMITTEE",
    "HELD_OUT",
    "HISTORY",
    "PAGE",
    "POSTERIORS",
    "REPORT",
    "RESOLVED",
    "SPEC",
    "WEIGHTS",
    "changed_files",
    "check_sealed",
    "read_committee",
    "read_facts",
    "read_json",
    "read_report",
    "read_resolved",
    "seal",
    "sealed_files",
    "unseal",
]

COMMITTEE = "committee.json"
RESOLVED = "committee.yaml"
POSTERIORS = "posteriors.npz"


REPORT = "report.json"
SPEC = "spec.json"
HISTORY = "history.json"
HELD_OUT = "held_out.npz"
"""What the committee says of the validation faces, each held out of its fit; in the form of a posterior bank."""

PAGE = "report.html"
"""Not sealed: it is drawn anew when there is more to show, which leaves the committee as it is."""

WEIGHTS = "weights.safetensors"
_FACTS = ("name", "data", "device", "environment", "notes")
_NOT_SEALED = {MANIFEST, PAGE, "tracking.json", "tracking-spool.jsonl", ".lock"}
_FORMAT = "ensemble bundle 1"
_MEND = "Mend it, restore it from a copy, or run the same `ensemble fit` again, which writes it anew."


def read_json(path: Path) -> dict[str, Any]:
    """Read a JSON mapping of the bundle.

    Raises:
        InputError: It is absent or damaged.
    """
    try:
        check_size(path, JSON_BYTES, "a JSON file")
        content = json.loads(path.read_text(encoding="utf-8"))
        if not isinstance(content, dict):
            raise TypeError(f"a mapping was expected, not {type(content).__name__}")
        checksum = content.pop(CHECKSUM, None)
        if checksum not in (None, digest_of(content)):
            raise ValueError("its checksum does not fit its content")
    except (OSError, ValueError, TypeError, RecursionError) as error:
        raise InputError(
            f"Expected `{path}` to be part of a finished committee, but got: {error}. "
            f"Restore it from a copy, or run the same `ensemble fit` again, which makes anew what is damaged."
        ) from None
    return content


def read_committee(folder: Path) -> Committee:
    """The fitted rules of a finished committee.

    Raises:
        InputError: They are absent or damaged.
    """
    check_sealed(folder, [COMMITTEE])
    content = read_json(folder / COMMITTEE)
    try:
        return Committee.from_json(content)
    except InputError as error:
        raise InputError(f"{folder / COMMITTEE}: {error}") from None


def read_resolved(folder: Path, *, edited: bool = False) -> dict[str, Any]:
    """A finished committee's YAML, as it stands there.

    Args:
        folder: The committee's.
        edited: Whether it may have been edited since the rules were fitted.

    Raises:
        InputError: It is absent, has changed, or says what no committee is.
    """
    if not edited:
        check_sealed(folder, [RESOLVED])
    content = read_yaml(folder / RESOLVED)
    check_content(ResolvedContent, content, folder / RESOLVED, remedy=_MEND)
    return content


def read_report(folder: Path) -> dict[str, Any]:
    """A committee's report: a row for every member and every rule.

    Raises:
        InputError: It is absent, damaged, or says what no fit does.
    """
    content = read_json(folder / REPORT)
    check_content(ReportFacts, content, folder / REPORT, remedy=_MEND)
    check_content(
        ReportContent, content, folder / REPORT, remedy=f"`ensemble fuse --committee {folder}` writes it anew."
    )
    return content


def read_facts(folder: Path) -> dict[str, Any]:
    """What a committee's report says beside its numbers, which may be those of other rules.

    Raises:
        InputError: It is absent or damaged, has changed, or says what no fit does.
    """
    check_sealed(folder, [REPORT])
    content = read_json(folder / REPORT)
    check_content(ReportFacts, content, folder / REPORT, remedy=_MEND)
    return {key: content[key] for key in _FACTS if key in content}


def check_sealed(folder: Path, names: Iterable[str]) -> None:
    """Refuse files of a finished committee that are not what its manifest says; without a manifest nothing is checked.

    Raises:
        InputError: One of them has changed or is gone, or the manifest is damaged.
    """
    if not (folder / MANIFEST).is_file():
        return
    changed = changed_files(folder, names)
    if not changed:
        return
    shown = ", ".join(f"`{folder / name}`" for name in changed[:3]) + (" …" if len(changed) > 3 else "")
    mend = (
        "If you edited it, run `ensemble fuse`, which takes the edit in; otherwise restore it from a copy"
        if changed == [RESOLVED]
        else "Restore it from a copy"
    )
    raise InputError(
        f"Expected {shown} to be as when the committee was finished, but its sha256 is another or it is gone. {mend}, "
        f"or run the same `ensemble fit` again, which makes anew what is damaged. `ensemble verify` checks every file."
    )


def changed_files(folder: Path, names: Iterable[str] | None = None) -> list[str]:
    """Which of these files, all by default, the manifest lists and are absent or changed.

    Raises:
        InputError: The manifest is absent or damaged.
    """
    files = read_json(folder / MANIFEST).get("files")
    if not isinstance(files, dict):
        raise InputError(
            f"Expected `{folder / MANIFEST}` to list the files of a committee, but it does not. Run the same "
            f"`ensemble fit` again, which writes it anew."
        )
    chosen = files if names is None else [name for name in names if name in files]
    return [name for name in chosen if not (folder / name).is_file() or digest_file(folder / name) != files[name]]


def unseal(folder: Path) -> None:
    """Mark the committee as unfinished, before anything in it changes."""
    (folder / MANIFEST).unlink(missing_ok=True)


def seal(folder: Path, *, members: list[str]) -> None:
    """Write the manifest: sha256 of every file. The committee is finished with it.

    Weights and histories are listed with the sha256 that their member's `spec.json` holds: what was damaged since is
    found by the next check instead of being taken for right.
    """
    known = _known_digests(folder, members)
    files = {str(path.relative_to(folder)): known.get(path) or digest_file(path) for path in _files(folder, members)}
    content = {"format": _FORMAT, "number": next_number(folder.parent), "members": members, "files": files}
    write_checked_json(folder / MANIFEST, content)


def sealed_files(folder: Path) -> list[Path]:
    """Every file of a finished committee, the manifest included."""
    return [folder / MANIFEST, *(folder / name for name in read_json(folder / MANIFEST)["files"])]


def _known_digests(folder: Path, members: list[str]) -> dict[Path, str | None]:
    """What the members' `spec.json` say of the files beside them."""
    known = {}
    for name in members:
        for spec in (folder / "members" / name).rglob(SPEC):
            content = read_json(spec)
            known[spec.with_name(WEIGHTS)] = content.get("weights_sha256")
            known[spec.with_name(HISTORY)] = content.get("history_sha256")
    return known


def _files(folder: Path, members: list[str]) -> list[Path]:
    top = [p for p in folder.iterdir() if p.is_file() and p.name not in _NOT_SEALED and not p.name.startswith(".")]
    inner = [p for name in members for p in (folder / "members" / name).rglob("*") if p.is_file()]
    return sorted(p for p in top + inner if not p.name.endswith(".tmp"))
