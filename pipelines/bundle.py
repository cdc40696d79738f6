"""A finished committee's folder: resolved YAML, members, committee, report, and a manifest written last.

committee.yaml  manifest.json  committee.json  report.json  report.md  tracking.json
members/<name>/{spec.json, weights.safetensors, posteriors.npz, history.json}; outside members have no network, and a
member trained in folds has one of these folders per copy, members/<name>/folds/<number>.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from backbones.errors import InputError
from ensemble.committee import Committee
from pipelines.atomic import write_json
from pipelines.fingerprint import digest_file
from pipelines.workspace import MANIFEST

__all__ = [
    "COMMITTEE",
    "HISTORY",
    "POSTERIORS",
    "PRUNED",
    "REPORT",
    "SPEC",
    "WEIGHTS",
    "read_committee",
    "read_json",
    "seal",
    "sealed_files",
    "unseal",
    "verify",
]

COMMITTEE = "committee.json"
POSTERIORS = "posteriors.npz"
PRUNED = "pruned.json"
"""Says which committee a smaller one is out of; a fit into its folder removes it."""

REPORT = "report.json"
SPEC = "spec.json"
HISTORY = "history.json"
WEIGHTS = "weights.safetensors"
_NOT_SEALED = {MANIFEST, "tracking.json", ".lock"}
_FORMAT = "ensemble bundle 1"


def read_json(path: Path) -> dict[str, Any]:
    """Read a JSON mapping of the bundle.

    Raises:
        InputError: It is absent or damaged.
    """
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        if not isinstance(content, dict):
            raise TypeError(f"a mapping was expected, not {type(content).__name__}")
    except (OSError, ValueError, TypeError) as error:
        raise InputError(f"Expected `{path}` to be part of a finished committee, but got: {error}") from None
    return content


def read_committee(folder: Path) -> Committee:
    """The fitted rules of a finished committee."""
    return Committee.from_json(read_json(folder / COMMITTEE))


def unseal(folder: Path) -> None:
    """Mark the committee as unfinished, before anything in it changes."""
    (folder / MANIFEST).unlink(missing_ok=True)


def seal(folder: Path, *, members: list[str]) -> None:
    """Write the manifest: sha256 of every file. The committee is finished with it."""
    files = {str(path.relative_to(folder)): digest_file(path) for path in _files(folder, members)}
    write_json(folder / MANIFEST, {"format": _FORMAT, "members": members, "files": files})


def sealed_files(folder: Path) -> list[Path]:
    """Every file of a finished committee, the manifest included."""
    return [folder / MANIFEST, *(folder / name for name in read_json(folder / MANIFEST)["files"])]


def verify(folder: Path) -> list[str]:
    """Names of the files that the manifest lists and that are absent or changed."""
    files = read_json(folder / MANIFEST)["files"]
    return [
        name for name, digest in files.items() if not (folder / name).is_file() or digest_file(folder / name) != digest
    ]


def _files(folder: Path, members: list[str]) -> list[Path]:
    top = [p for p in folder.iterdir() if p.is_file() and p.name not in _NOT_SEALED and not p.name.startswith(".")]
    inner = [p for name in members for p in (folder / "members" / name).rglob("*") if p.is_file()]
    return sorted(p for p in top + inner if not p.name.endswith(".tmp"))
