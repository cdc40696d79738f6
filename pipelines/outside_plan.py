"""Checks the members of a `members.yaml` that the fit does not train, without torch and before any data is read."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from backbones.errors import InputError, Problem, nearest
from ensemble.class_map import ClassMap
from ensemble.outside_spec import BorrowedSpec, OutsideSpec
from ensemble.spec import MemberSpec
from ensemble.spec_check import check_spec
from pipelines.bundle import SPEC, read_json
from pipelines.fingerprint import checked_digest
from pipelines.home_path import expanded
from pipelines.lent_member import find_lender, find_lent_member
from pipelines.posterior_file import read_posterior_file

__all__ = ["AnyOutsideSpec", "is_outside", "loan_map", "outside_members", "outside_row"]

AnyOutsideSpec = OutsideSpec | BorrowedSpec

_SOURCES = ("posteriors", "committee")


def is_outside(entry: Any) -> bool:
    """Whether an entry of `members` asks for something that is not trained."""
    return isinstance(entry, Mapping) and any(source in entry for source in _SOURCES)


def outside_members(
    entries: Any, defaults: Mapping[str, Any], *, folder: Path, classes: Sequence[str] | None, problems: list[Problem]
) -> tuple[list[AnyOutsideSpec], dict[str, Path]]:
    """Check every outside member.

    Args:
        entries: What stands under `members`.
        defaults: Of which only `groups` concern outside members.
        folder: That of the YAML.
        classes: The data's classes, if they are known already.
        problems: Gets everything that is wrong.

    Returns:
        The specs, paths and digests filled in; and for each name its posterior file, or the borrowed member's folder.
    """
    specs: list[AnyOutsideSpec] = []
    places: dict[str, Path] = {}
    listed = list(entries) if isinstance(entries, list) else []
    names = [entry.get("name") for entry in listed if isinstance(entry, Mapping)]
    for index, entry in enumerate(listed):
        where = f"members[{index}]"
        if not is_outside(entry):
            continue
        if names.count(entry.get("name")) > 1:
            message = f"Expected a unique name, but {entry.get('name')!r} stands twice."
            problems.append(Problem.at(f"{where}.name", message))
        spec, found = _check_fields({**_groups_of(defaults), **entry}, where)
        problems += found
        if spec is None:
            continue
        try:
            resolved, place = _resolved(spec, folder, classes)
        except InputError as error:
            key = "posteriors.file" if isinstance(spec, OutsideSpec) else "committee"
            problems.append(Problem.at(f"{where}.{key}", str(error)))
        else:
            specs.append(resolved)
            places[spec.name] = place
    return specs, places


def outside_row(spec: AnyOutsideSpec, place: Path, by_heart: bool) -> tuple[str, ...]:
    """What `ensemble members check` says of an outside member: name, where from, parameters, none trained, output."""
    end = ("", "") if by_heart else ("",)
    if isinstance(spec, OutsideSpec):
        return (spec.name, place.name, "", "", f"rows: {len(read_posterior_file(place).ids):,}", *end)
    content = read_json(place / SPEC)
    whose = f"{spec.committee.member} of {Path(spec.committee.folder).name}"
    classes = ClassMap.of(content["classes"], spec.committee.classes or {}, where=whose).target
    return (spec.name, whose, f"{content['parameters']:,}", "0", f"({len(classes)},)", *end)


def _groups_of(defaults: Mapping[str, Any]) -> dict[str, Any]:
    return {"groups": defaults["groups"]} if "groups" in defaults else {}


def _check_fields(entry: Mapping[str, Any], where: str) -> tuple[AnyOutsideSpec | None, list[Problem]]:
    """The spec, if the fields are those of one kind of member."""
    sources = [key for key in ("backbone", *_SOURCES) if key in entry]
    if len(sources) > 1:
        got = " and ".join(f"`{key}`" for key in sources)
        return None, [Problem.at(where, f"Expected one of `backbone`, `posteriors` and `committee`, but got {got}.")]
    model: type[AnyOutsideSpec] = OutsideSpec if sources == ["posteriors"] else BorrowedSpec
    known = {str(key): value for key, value in entry.items() if key in model.model_fields}
    problems = [
        Problem.at(f"{where}.{key}", _refused(str(key), sources[0], list(model.model_fields)))
        for key in entry
        if key not in model.model_fields
    ]
    spec, found = check_spec(model, known, where)
    return spec, problems + found


def _refused(key: str, source: str, fields: Sequence[str]) -> str:
    if key in MemberSpec.model_fields:
        return (
            f"Expected no `{key}` beside `{source}`, since this member is not trained here. "
            f"Leave it out, or give the member a `backbone` instead of `{source}`."
        )
    return f"Expected a known key, but got {key!r}. {nearest(key, fields)}"


def _resolved(spec: AnyOutsideSpec, folder: Path, classes: Sequence[str] | None) -> tuple[AnyOutsideSpec, Path]:
    return _with_file(spec, folder, classes) if isinstance(spec, OutsideSpec) else _with_loan(spec, folder, classes)


def _with_file(spec: OutsideSpec, folder: Path, classes: Sequence[str] | None) -> tuple[OutsideSpec, Path]:
    """The spec with the path and the digest of its file, which holds posteriors as far as can be told."""
    given = expanded(spec.posteriors.file)
    path = next((place / given for place in (folder, Path()) if (place / given).is_file()), None)
    if path is None:
        looked = f"`{given.parent}`" if given.is_absolute() else f"`{folder}` and `{Path()}`"
        raise InputError(f"Expected a file of posteriors, but there is no {spec.posteriors.file!r} in {looked}.")
    read_posterior_file(path).check(classes, spec.posteriors.classes)
    sha256 = checked_digest(path, spec.posteriors.sha256)
    update = spec.posteriors.model_copy(update={"file": str(path.resolve()), "sha256": sha256})
    return spec.model_copy(update={"posteriors": update}), path


def _with_loan(spec: BorrowedSpec, folder: Path, classes: Sequence[str] | None) -> tuple[BorrowedSpec, Path]:
    """The spec with the lender's path and the digest of the weights; the member is whole and has a network."""
    loan = spec.committee
    lender = find_lender(loan.folder, folder, field="folder")
    lent = find_lent_member(lender, loan.member)
    if loan.sha256 not in (None, lent.sha256):
        raise InputError(
            f"Expected weights with sha256 {loan.sha256}, but those of `{lent.folder}` have {lent.sha256}."
        )
    update = {"folder": str(lender.resolve()), "member": lent.name, "sha256": lent.sha256}
    planned = spec.model_copy(update={"committee": loan.model_copy(update=update)})
    loan_map(planned, lent.folder, classes)
    return planned, lent.folder


def loan_map(spec: BorrowedSpec, source: Path, classes: Sequence[str] | None) -> ClassMap | None:
    """From the classes of a borrowed network to the data's; None if they are the same.

    Args:
        spec: Who is borrowed, as planned, and what becomes of its classes.
        source: The member's folder in the committee that lends it.
        classes: The data's classes; None if they are not known yet: then names alone are checked.

    Raises:
        InputError: A class has no place among the data's, or one of the data's is unknown to the member.
    """
    loan, content = spec.committee, read_json(source / SPEC)
    inner = ClassMap.stored(content, f"`{source / 'spec.json'}`")
    where, wanted = f"member `{loan.member}` of `{loan.folder}`", loan.classes or {}
    if classes is None:
        ClassMap.of(content["classes"], wanted, where=where)
        return None
    remedy = (
        f"Fine-tune it instead: a member with `weights: {{run: {loan.folder}, member: {loan.member}}}` takes its "
        f"backbone, and gets a head of its own."
    )
    outer = ClassMap.between(content["classes"], classes, wanted, where=where, remedy=remedy)
    whole = outer if inner is None else inner.then(outer)
    return None if whole.is_identity else whole
