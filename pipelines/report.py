"""`ensemble report`: draws a committee's page; `fit` and `fuse` draw it at their end."""

from __future__ import annotations

from pathlib import Path

from backbones.errors import InputError
from ensemble.faces import Faces
from pipelines.committee_folder import find_committee
from pipelines.console import Console
from pipelines.page.evidence import read_evidence
from pipelines.page.gallery import own_faces
from pipelines.page.page import write_page
from pipelines.stored_posteriors import StoredPosteriors
from pipelines.workspace import Workspace

__all__ = ["refresh_page", "report_committee"]


def report_committee(committee: str | Path | None = None, *, out: Path | None = None, quiet: bool = False) -> Path:
    """Write a committee's page and say where it is.

    Args:
        committee: Folder, name or MLflow run; default the newest finished one.
        out: The file; default `report.html` in the committee's folder.
        quiet: Print only where it is.

    Returns:
        Where it is.

    Raises:
        InputError: There is no such committee, a file of it is damaged, or `out` is no `.html` file.
    """
    if out is not None and out.suffix.lower() not in (".html", ".htm"):
        raise InputError(f"Expected `--out` to be a file that ends in .html, but got `{out}`.")
    console = Console(quiet=quiet)
    folder = find_committee(committee)
    evidence = read_evidence(folder)
    faces: Faces | None = None
    reason = ""
    try:
        faces = own_faces(evidence.resolved, evidence.bank, cache=Workspace().cache, decode=True)
    except InputError as error:
        reason = str(error)
        console.note(f"the page does not show faces: {reason}")
    path = write_page(evidence, faces=faces, reason=reason, out=out)
    console.result(f"report: {path} ({path.stat().st_size / 1e6:.1f} MB)")
    return path


def refresh_page(folder: Path, bank: StoredPosteriors, *, faces: Faces | None = None) -> Path:
    """Draw the page of a committee that has just been fitted or fused; faces that are not at hand are not looked for.

    Args:
        folder: The finished committee.
        bank: What its members say.
        faces: Its validation faces; default those in the cache.
    """
    evidence = read_evidence(folder, bank=bank)
    if faces is not None:
        return write_page(evidence, faces=faces)
    try:
        return write_page(evidence, faces=own_faces(evidence.resolved, bank, cache=Workspace().cache, decode=False))
    except InputError as error:
        return write_page(evidence, faces=None, reason=str(error))
