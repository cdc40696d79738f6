"""Everything the page shows, read from a committee's folder: no network runs and no face is opened here."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from backbones.errors import InputError
from ensemble.committee import Committee
from pipelines.bundle import COMMITTEE, HISTORY, REPORT, read_committee, read_json, read_report, read_resolved
from pipelines.bundle_content import EvaluationContent, check_content
from pipelines.evaluation import Answers
from pipelines.fingerprint import digest_file
from pipelines.spec_file import read_spec_file
from pipelines.stored_answers import stored_answers
from pipelines.stored_posteriors import StoredPosteriors, stored_posteriors

__all__ = ["Evidence", "read_evidence"]

Record = Mapping[str, Any]


@dataclass(frozen=True, kw_only=True)
class Evidence:
    """A finished committee, as its page sees it.

    Attributes:
        folder: Where it lies.
        date: When its rules were fitted, UTC.
        resolved: Its YAML with every default.
        report: Its `report.json`.
        committee: The fitted rules.
        bank: What its members say of the validation faces.
        answers: The same with the committee's own held-out answers.
        specs: `spec.json` by member.
        histories: One record per epoch by member; empty where nothing is known, as of an outside member.
        evaluation: What `ensemble evaluate` left of the validation faces, if it is of this very committee.
        looks: How often the test split was looked at.
    """

    folder: Path
    date: datetime
    resolved: Record
    report: Record
    committee: Committee
    bank: StoredPosteriors
    answers: Answers
    specs: Mapping[str, Record]
    histories: Mapping[str, Sequence[Mapping[str, float]]]
    evaluation: Record
    looks: int

    @property
    def name(self) -> str:
        """The committee's."""
        return str(self.report.get("name", self.folder.name))

    @property
    def rows(self) -> dict[str, Record]:
        """The members' rows of `report.json`, by name."""
        return {row["name"]: row for row in self.report["members"]}

    @property
    def own(self) -> Record:
        """The committee's row among the rules."""
        row: Record = self.report["rules"]["committee"]
        return row


def read_evidence(folder: Path, *, bank: StoredPosteriors | None = None) -> Evidence:
    """Read a finished committee.

    Args:
        folder: Where it lies.
        bank: What its members say, if that is read already.

    Raises:
        InputError: A file of it is absent or damaged, or its report is none of `ensemble fit` or `ensemble fuse`.
    """
    committee, report = read_committee(folder), read_report(folder)
    names = committee.members
    if {row["name"] for row in report["members"]} != set(names) or "committee" not in report["rules"]:
        raise InputError(
            f"Expected `{folder / REPORT}` to have a row for every member and for the committee, but it has not. "
            f"`ensemble fuse --committee {folder}` writes it anew."
        )
    bank = bank or stored_posteriors(folder, names)
    resolved = read_resolved(folder, edited=True)
    return Evidence(
        folder=folder,
        date=datetime.fromtimestamp((folder / COMMITTEE).stat().st_mtime, UTC),
        resolved=resolved,
        report=report,
        committee=committee,
        bank=bank,
        answers=stored_answers(folder, seed=int(resolved["seed"]), bank=bank),
        specs={name: read_spec_file(folder / "members" / name) for name in names},
        histories={name: _history(folder / "members" / name / HISTORY) for name in names},
        evaluation=_evaluation(folder),
        looks=_lines(folder / "evaluation" / "looks.jsonl"),
    )


def _history(path: Path) -> list[dict[str, float]]:
    """A member's epochs; empty where it has none."""
    if not path.is_file():
        return []
    try:
        records = json.loads(path.read_text(encoding="utf-8"))
        return [{key: float(record[key]) for key in _CURVES} for record in records]
    except (OSError, ValueError, TypeError, KeyError) as error:
        raise InputError(f"Expected `{path}` to hold a record of every epoch, but got: {error!r}") from None


_CURVES = ("epoch", "train_loss", "validation_nll", "validation_accuracy")


def _evaluation(folder: Path) -> Record:
    """What was evaluated of the validation faces; nothing if that was before the rules were fitted anew."""
    path = folder / "evaluation" / "validation" / REPORT
    if not path.is_file():
        return {}
    content = read_json(path)
    if content.get("committee_sha256") not in (None, digest_file(folder / COMMITTEE)):
        return {}
    check_content(EvaluationContent, content, path, remedy="`ensemble evaluate` writes it anew.")
    return content


def _lines(path: Path) -> int:
    return len(path.read_text(encoding="utf-8").splitlines()) if path.is_file() else 0
