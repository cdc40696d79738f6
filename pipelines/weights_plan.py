"""Resolves the pretrained weights of every member when a fit is planned, and tells those that are missing at once.

Nothing is fetched, and no file is read but for its digest.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from backbones.errors import InputError, Problem
from ensemble.spec import MemberSpec
from ensemble.weights_catalogue import entry_named, entry_of_digest, entry_of_file
from ensemble.weights_spec import WeightsSpec
from pipelines.fingerprint import digest_file
from pipelines.lent_member import find_lender, find_lent_member
from pipelines.weights_contract import check_entry, check_lent, note_lent
from pipelines.weights_path import find_weights
from pipelines.weights_record import check_published

__all__ = ["with_weights"]


@dataclass(frozen=True, kw_only=True)
class _Found:
    """What became of the weights that a member asks for.

    Attributes:
        file: Where they lie; None if they are absent.
        weights: The spec with digest and origin.
        missing: What is absent and why; empty if nothing is.
        remedy: How to get it.
        problems: What is wrong with them.
        note: What the user should know of them.
    """

    file: Path | None
    weights: WeightsSpec
    missing: str = ""
    remedy: str = ""
    problems: tuple[Problem, ...] = ()
    note: str | None = None


def with_weights(
    members: Sequence[MemberSpec],
    folders: Sequence[Path],
    problems: list[Problem],
    *,
    folder: Path = Path(),
    keep_absent: bool = False,
) -> tuple[list[MemberSpec], dict[str, Path], list[str]]:
    """Find every member's weights; leave out members whose optional ones are absent.

    With `keep_absent` these are kept with random weights: enough to see whether they can be built.

    Args:
        members: The specs.
        folders: Searched for files.
        problems: Gets everything that is wrong.
        folder: That of the YAML, beside which earlier committees may lie.
        keep_absent: See above.

    Returns:
        The members left, digests and origins of their weights filled in; the file of each; and notes.
    """
    kept: list[MemberSpec] = []
    files: dict[str, Path] = {}
    notes: list[str] = []
    for member in members:
        if member.weights is None:
            kept.append(member)
            continue
        found = _find(member, member.weights, folders, folder)
        problems += found.problems
        if found.file is not None:
            kept.append(member.model_copy(update={"weights": found.weights}))
            files[member.name] = found.file
            notes += [found.note] if found.note else []
        elif member.weights.optional and keep_absent:
            kept.append(member.model_copy(update={"weights": None}))
            notes.append(f"{member.name}: random weights, since {found.missing}.")
        elif member.weights.optional:
            notes.append(f"{member.name} is left out: {found.missing}. {found.remedy}".rstrip())
        elif not found.problems:
            message = f"Expected pretrained weights, but {found.missing}. {found.remedy}".rstrip()
            problems.append(Problem.at(_place(member), message))
    if members and not kept and not problems:
        message = "Expected at least one member, but the weights of all are absent:"
        problems.append(Problem.at("members", "\n    ".join((message, *notes))))
    return kept, files, notes


def _find(member: MemberSpec, weights: WeightsSpec, folders: Sequence[Path], folder: Path) -> _Found:
    if weights.name is not None:
        return _of_catalogue(member, weights, weights.name, folders)
    if weights.run is not None:
        return _of_earlier_member(member, weights, weights.run, folder)
    return _of_file(member, weights, str(weights.file), folders)


def _of_file(member: MemberSpec, weights: WeightsSpec, name: str, folders: Sequence[Path]) -> _Found:
    file, looked = find_weights(name, folders)
    if file is None:
        known = entry_of_file(Path(name).name)
        fetch = f" `ensemble weights fetch {known.name}` gets it." if known else ""
        remedy = f"Put the file there, or name its folder: `--weights DIR`.{fetch}"
        return _Found(file=None, weights=weights, missing=f"{name!r} is not in {looked}", remedy=remedy)
    sha256 = digest_file(file)
    entry = entry_of_digest(sha256)
    update = {"licence": entry.licence, "training_set": entry.training_set, "source": entry.url} if entry else {}
    own = {key: value for key, value in update.items() if getattr(weights, key) is None}
    filled = weights.model_copy(update={"sha256": sha256, **own})
    return _Found(file=file, weights=filled, problems=tuple(_other_digest(member, weights, file, sha256)))


def _of_catalogue(member: MemberSpec, weights: WeightsSpec, name: str, folders: Sequence[Path]) -> _Found:
    try:
        entry = entry_named(name)
    except InputError as error:
        return _Found(
            file=None, weights=weights,
            problems=(Problem.at(_place(member), f"{error} For a file: `weights: {{file: …}}`; for none: `random`."),),
        )  # fmt: skip
    problems = check_entry(member, entry, _place(member))
    file, looked = find_weights(entry.file, folders)
    if file is None:
        size = f", {entry.megabytes}" if entry.size else ""
        missing = f"`{name}` (the file {entry.file}{size}) is not in {looked}"
        remedy = f"Run `ensemble weights fetch {name}`, or put the file there, or name its folder: `--weights DIR`."
        return _Found(file=None, weights=weights, missing=missing, remedy=remedy, problems=tuple(problems))
    sha256 = digest_file(file)
    problems += _other_digest(member, weights, file, sha256)
    try:
        check_published(entry, file, sha256)
    except InputError as error:
        problems.append(Problem.at(_place(member), str(error)))
    origin = {"licence": entry.licence, "training_set": entry.training_set, "source": entry.url}
    filled = weights.model_copy(update={"sha256": sha256, **origin})
    return _Found(file=file, weights=filled, problems=tuple(problems))


def _of_earlier_member(member: MemberSpec, weights: WeightsSpec, run: str, folder: Path) -> _Found:
    try:
        lender = find_lender(run, folder, field="run")
        lent = find_lent_member(lender, weights.member)
    except InputError as error:
        return _Found(file=None, weights=weights, missing=f"there is no backbone to take from `{run}`: {error}")
    problems = [
        *check_lent(member, lent, _place(member)),
        *_other_digest(member, weights, lent.weights, lent.sha256),
    ]
    theirs = lent.spec.weights
    filled = weights.model_copy(
        update={
            "run": str(lender.resolve()),
            "member": lent.name,
            "sha256": lent.sha256,
            "licence": weights.licence or (theirs.licence if theirs else None),
            "training_set": weights.training_set or (theirs.training_set if theirs else None),
            "source": weights.source or (theirs.source if theirs else None),
        }
    )
    return _Found(file=lent.weights, weights=filled, problems=tuple(problems), note=note_lent(member, lent))


def _other_digest(member: MemberSpec, weights: WeightsSpec, file: Path, sha256: str) -> Iterable[Problem]:
    if weights.sha256 not in (None, sha256):
        message = f"Expected sha256 {weights.sha256}, but `{file}` has {sha256}."
        yield Problem.at(f"{_place(member)}.sha256", message)


def _place(member: MemberSpec) -> str:
    return f"members.{member.name}.weights"
