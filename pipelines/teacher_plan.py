"""Finds the teachers of members when a fit is planned, and checks that they can answer. Loads no torch."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from backbones.errors import InputError, Problem
from ensemble.bank import load_posteriors
from ensemble.canonical import digest_of
from ensemble.faces import Faces
from ensemble.outside_spec import OUTSIDE
from ensemble.spec import MemberSpec
from ensemble.teacher_spec import TeacherSpec
from pipelines.bundle import COMMITTEE, POSTERIORS, REPORT, SPEC, WEIGHTS, read_committee, read_json
from pipelines.fit_data import FitData
from pipelines.lent_member import find_lender
from pipelines.workspace import MANIFEST

__all__ = ["check_teacher", "judged_alike", "teacher_note", "with_teachers"]


def with_teachers(members: Sequence[MemberSpec], problems: list[Problem], *, folder: Path) -> list[MemberSpec]:
    """Fill in where every member's teacher lies, and its digest.

    Args:
        members: The specs.
        problems: Gets everything that is wrong.
        folder: That of the YAML, beside which earlier committees may lie.
    """
    planned = []
    for member in members:
        teacher = member.teacher
        try:
            teacher = teacher and _found(teacher, folder)
        except InputError as error:
            problems.append(Problem.at(f"members.{member.name}.teacher", str(error)))
        planned.append(member.model_copy(update={"teacher": teacher}))
    return planned


def check_teacher(teacher: TeacherSpec, classes: Sequence[str]) -> None:
    """Refuse a teacher that has changed since the fit was planned, or that knows other classes than the data.

    Raises:
        InputError: It has, or it does.
    """
    folder = Path(teacher.committee)
    if _digest(folder) != teacher.sha256:
        raise InputError(
            f"Expected the teacher `{folder}` to stay as it was when the fit began, but its content has changed. Run "
            f"the same command again, which plans with what is there now."
        )
    known = read_committee(folder).classes
    if set(known) != set(classes):
        raise InputError(
            f"Expected a teacher that knows the classes {', '.join(classes)}, but `{folder}` knows {', '.join(known)}. "
            f"Map the data's: `data: {{classes: …}}`, or take another teacher."
        )


def teacher_note(member: MemberSpec, data: FitData) -> str | None:
    """A warning if a member's teacher was fitted on other faces: it may have learned from some of those that judge.

    Args:
        member: As planned.
        data: What it is trained and judged on.
    """
    if member.teacher is None:
        return None
    folder = Path(member.teacher.committee)
    theirs = read_json(folder / REPORT).get("data", {})
    banks = (folder / "members" / name / POSTERIORS for name in read_committee(folder).members)
    if theirs.get("digest") == data.digest or any(judged_alike(bank, data.validation) for bank in banks):
        return None
    return (
        f"{member.name}: its teacher `{folder}` was fitted on other data ({theirs.get('source')}); its accuracy means "
        f"something only if these validation faces were not among the teacher's training faces"
    )


def judged_alike(bank: Path, validation: Faces) -> bool:
    """Whether the posteriors of another committee's member are of these validation faces.

    Then it has not trained on them, whatever else its data was.
    """
    theirs = load_posteriors(bank).splits.get("validation") if bank.is_file() else None
    if theirs is None or theirs.labels is None:
        return False
    return np.array_equal(theirs.ids, validation.ids) and np.array_equal(theirs.labels, validation.labels)


def _found(teacher: TeacherSpec, folder: Path) -> TeacherSpec:
    """The spec with the committee's folder and digest."""
    place = find_lender(teacher.committee, folder, field="teacher.committee").resolve()
    specs = {name: read_json(place / "members" / name / SPEC) for name in read_committee(place).members}
    silent = [name for name, spec in specs.items() if spec.get("kind") == OUTSIDE]
    if silent:
        raise InputError(
            f"Expected a teacher with a network for every member, but those of `{place}` have none: "
            f"{', '.join(silent)}. Fit a committee without them."
        )
    sha256 = _digest(place)
    if teacher.sha256 not in (None, sha256):
        raise InputError(f"Expected a committee with sha256 {teacher.sha256}, but `{place}` has {sha256}.")
    return teacher.model_copy(update={"committee": str(place), "sha256": sha256})


def _digest(place: Path) -> str:
    """Of its rules and weights, by what its manifest says of them: not of its name, its place or its seconds."""
    files = read_json(place / MANIFEST).get("files", {})
    return digest_of({name: sha for name, sha in files.items() if name == COMMITTEE or name.endswith(WEIGHTS)})
