"""Resolves the pretrained weights of every member when a fit is planned, and tells those that are missing at once.

Nothing is fetched, and no file is read but for its digest.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

from backbones.errors import InputError, Problem
from backbones.limits import WEIGHTS_BYTES, check_size
from ensemble.spec import MemberSpec
from ensemble.weights_catalogue import entry_named, entry_of_digest, entry_of_file
from ensemble.weights_spec import WeightsSpec
from pipelines.fingerprint import digest_file
from pipelines.lent_member import find_lender, find_lent_member
from pipelines.weights_contract import check_entry, check_lent, note_lent
from pipelines.weights_path import find_weights
from pipelines.weights_record import check_published

__all__ = ["with_weights"]

_Digest = Callable[[Path], str | None]
"""Reads a file's sha256, or gives None without reading."""


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


@dataclass(frozen=True, kw_only=True)
class _Settled:
    """Who is left, with which files, and what is to be told."""

    kept: list[MemberSpec] = field(default_factory=list)
    files: dict[str, Path] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    problems: list[Problem] = field(default_factory=list)


@dataclass(frozen=True, kw_only=True)
class _Search:
    """Where weights are looked for.

    Attributes:
        folders: Of files.
        folder: That of the YAML.
        digest: Reads files, each once; or does not, to see whether anything else is wrong.
    """

    folders: Sequence[Path]
    folder: Path
    digest: _Digest


def with_weights(
    members: Sequence[MemberSpec],
    folders: Sequence[Path],
    problems: list[Problem],
    *,
    folder: Path = Path(),
    keep_absent: bool = False,
) -> tuple[list[MemberSpec], dict[str, Path], list[str]]:
    """Find every member's weights; leave out members whose optional ones are absent.

    Files are only read where nothing else is wrong, and each only once. With `keep_absent` these members are kept with
    random weights: enough to see whether they can be built.

    Args:
        members: The specs.
        folders: Searched for files.
        problems: What is known to be wrong already; gets everything else that is.
        folder: That of the YAML, beside which earlier committees may lie.
        keep_absent: See above.

    Returns:
        The members left, digests and origins of their weights filled in; the file of each; and notes.
    """
    settled = _settle(members, _Search(folders=folders, folder=folder, digest=lambda path: None), keep_absent)
    if not problems and not settled.problems:
        settled = _settle(members, _Search(folders=folders, folder=folder, digest=cache(_digest)), keep_absent)
    problems += settled.problems
    if members and not settled.kept and not problems:
        message = "Expected at least one member, but the weights of all are absent:"
        problems.append(Problem.at("members", "\n    ".join((message, *settled.notes))))
    return settled.kept, settled.files, settled.notes


def _digest(path: Path) -> str:
    """sha256 of a weights file, which is not read if it cannot be one."""
    check_size(path, WEIGHTS_BYTES, "a weights file")
    return digest_file(path)


def _settle(members: Sequence[MemberSpec], search: _Search, keep_absent: bool) -> _Settled:
    settled = _Settled()
    for member in members:
        if member.weights is None:
            settled.kept.append(member)
            continue
        found = _find(member, member.weights, search)
        settled.problems.extend(found.problems)
        if found.file is not None:
            settled.kept.append(member.model_copy(update={"weights": found.weights}))
            settled.files[member.name] = found.file
            settled.notes.extend([found.note] if found.note else [])
        elif member.weights.optional and keep_absent:
            settled.kept.append(member.model_copy(update={"weights": None}))
            settled.notes.append(f"{member.name}: random weights, since {found.missing}.")
        elif member.weights.optional:
            settled.notes.append(f"{member.name} is left out: {found.missing}. {found.remedy}".rstrip())
        elif not found.problems:
            message = f"Expected pretrained weights, but {found.missing}. {found.remedy}".rstrip()
            settled.problems.append(Problem.at(_place(member), message))
    return settled


def _find(member: MemberSpec, weights: WeightsSpec, search: _Search) -> _Found:
    if weights.name is not None:
        return _of_catalogue(member, weights, weights.name, search)
    if weights.run is not None:
        return _of_earlier_member(member, weights, weights.run, search)
    return _of_file(member, weights, str(weights.file), search)


def _of_file(member: MemberSpec, weights: WeightsSpec, name: str, search: _Search) -> _Found:
    try:
        file, looked = find_weights(name, search.folders)
    except InputError as error:
        return _Found(file=None, weights=weights, problems=(Problem.at(f"{_place(member)}.file", str(error)),))
    if file is None:
        known = entry_of_file(Path(name).name)
        fetch = f" `ensemble weights fetch {known.name}` gets it." if known else ""
        remedy = f"Put the file there, or name its folder: `--weights DIR`.{fetch}"
        return _Found(file=None, weights=weights, missing=f"{name!r} is not in {looked}", remedy=remedy)
    sha256 = search.digest(file)
    entry = entry_of_digest(sha256) if sha256 else None
    update = {"licence": entry.licence, "training_set": entry.training_set, "source": entry.url} if entry else {}
    own = {key: value for key, value in update.items() if getattr(weights, key) is None}
    filled = weights.model_copy(update={"sha256": sha256, **own})
    return _Found(file=file, weights=filled, problems=tuple(_other_digest(member, weights, file, sha256)))


def _of_catalogue(member: MemberSpec, weights: WeightsSpec, name: str, search: _Search) -> _Found:
    try:
        entry = entry_named(name)
    except InputError as error:
        return _Found(
            file=None, weights=weights,
            problems=(Problem.at(_place(member), f"{error} For a file: `weights: {{file: …}}`; for none: `random`."),),
        )  # fmt: skip
    problems = check_entry(member, entry, _place(member))
    file, looked = find_weights(entry.file, search.folders)
    if file is None:
        size = f", {entry.megabytes}" if entry.size else ""
        missing = f"`{name}` (the file {entry.file}{size}) is not in {looked}"
        remedy = f"Run `ensemble weights fetch {name}`, or put the file there, or name its folder: `--weights DIR`."
        return _Found(file=None, weights=weights, missing=missing, remedy=remedy, problems=tuple(problems))
    sha256 = search.digest(file)
    problems += _other_digest(member, weights, file, sha256)
    try:
        if sha256 is not None:
            check_published(entry, file, sha256)
    except InputError as error:
        problems.append(Problem.at(_place(member), str(error)))
    origin = {"licence": entry.licence, "training_set": entry.training_set, "source": entry.url}
    filled = weights.model_copy(update={"sha256": sha256, **origin})
    return _Found(file=file, weights=filled, problems=tuple(problems))


def _of_earlier_member(member: MemberSpec, weights: WeightsSpec, run: str, search: _Search) -> _Found:
    try:
        lender = find_lender(run, search.folder, field="run")
        lent = find_lent_member(lender, weights.member, digest=search.digest)
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


def _other_digest(member: MemberSpec, weights: WeightsSpec, file: Path, sha256: str | None) -> Iterable[Problem]:
    if sha256 is not None and weights.sha256 is not None and weights.sha256.lower() != sha256:
        message = f"Expected sha256 {weights.sha256}, but `{file}` has {sha256}."
        yield Problem.at(f"{_place(member)}.sha256", message)


def _place(member: MemberSpec) -> str:
    return f"members.{member.name}.weights"
