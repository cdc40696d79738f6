"""Looks at all jobs of a fit before the first of them is run. Loads no torch until it looks."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from backbones.errors import InputError
from ensemble.align_spec import AlignSpec
from pipelines.member_job import MemberJob

__all__ = ["Survey", "by_note", "survey_jobs"]


@dataclass(frozen=True, kw_only=True)
class Survey:
    """What was found.

    Attributes:
        problems: What keeps members from being built, a message each.
        notes: (member, note) for what could be better.
        fingerprints: Resume key of each member that can be built.
    """

    problems: Sequence[str]
    notes: Sequence[tuple[str, str]]
    fingerprints: Mapping[str, str]


def survey_jobs(jobs: Sequence[MemberJob], align: AlignSpec | None) -> Survey:
    """Build every member once.

    Args:
        jobs: Whose members.
        align: How their faces are aligned, if they are.
    """
    from pipelines.member_notes import member_notes

    problems, notes, fingerprints = [], [], {}
    for job in jobs:
        try:
            notes += [(job.spec.name, note) for note in member_notes(job.build(), align)]
            fingerprints[job.spec.name] = job.fingerprint(job.data())
        except InputError as error:
            problems.append(str(error))
    return Survey(problems=problems, notes=notes, fingerprints=fingerprints)


def by_note(notes: Iterable[tuple[str, str]]) -> list[str]:
    """(member, note) pairs as lines, members with the same note in one.

    Example:
        >>> by_note([("a", "x"), ("b", "y"), ("c", "x")])
        ['a, c: x', 'b: y']
    """
    names: dict[str, list[str]] = {}
    for name, note in notes:
        names.setdefault(note, []).append(name)
    return [f"{', '.join(members)}: {note}" for note, members in names.items()]
