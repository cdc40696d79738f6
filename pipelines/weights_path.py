"""Where pretrained weights are looked for, and which members are left out without theirs."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from pathlib import Path

from backbones.errors import Problem
from ensemble.spec import DataSpec, MemberSpec, WeightsSpec
from pipelines.fingerprint import digest_file

__all__ = ["find_weights", "usual_folders", "with_weights"]


def find_weights(name: str, folders: Sequence[Path]) -> tuple[Path | None, str]:
    """Find a weights file.

    Args:
        name: A path, or the name of a file in one of the folders.
        folders: Searched in order, after `$ENSEMBLE_WEIGHTS`.

    Returns:
        The file or None, and in words where it was looked for.
    """
    path = Path(name).expanduser()
    if path.is_absolute():
        return (path if path.is_file() else None), f"`{path.parent}`"
    searched = [Path(f) for f in os.environ.get("ENSEMBLE_WEIGHTS", "").split(os.pathsep) if f] + list(folders)
    searched = list(dict.fromkeys(searched))
    found = next((folder / path for folder in searched if (folder / path).is_file()), None)
    return found, ", ".join(f"`{folder}`" for folder in searched)


def usual_folders(source: DataSpec | None, folder: Path) -> Iterator[Path]:
    """Folders that weights are looked for in besides the YAML's own."""
    for base in (folder, Path()):
        yield base / "weights"
    yield Path()
    if source is not None and source.source != "synthetic":
        yield Path(source.source).parent.parent / "weights"  # data/ and weights/ side by side


def with_weights(
    members: Sequence[MemberSpec], folders: Sequence[Path], problems: list[Problem], *, keep_absent: bool = False
) -> tuple[list[MemberSpec], dict[str, Path], list[str]]:
    """Find every member's weights file; leave out members whose optional file is absent.

    With `keep_absent` these are kept with random weights: enough to see whether they can be built.
    """
    kept: list[MemberSpec] = []
    files: dict[str, Path] = {}
    notes: list[str] = []
    for member in members:
        if member.weights is None:
            kept.append(member)
            continue
        file, looked = find_weights(member.weights.file, folders)
        if file is not None:
            digested = _digested(member.weights, file)
            if member.weights.sha256 not in (None, digested.sha256):
                message = f"Expected sha256 {member.weights.sha256}, but `{file}` has {digested.sha256}."
                problems.append(Problem.at(f"members.{member.name}.weights.sha256", message))
            kept.append(member.model_copy(update={"weights": digested}))
            files[member.name] = file
        elif member.weights.optional and keep_absent:
            kept.append(member.model_copy(update={"weights": None}))
            notes.append(f"{member.name}: random weights, since {member.weights.file!r} is not in {looked}.")
        elif member.weights.optional:
            notes.append(f"{member.name} is left out: its weights {member.weights.file!r} are not in {looked}.")
        else:
            message = f"Expected the weights {member.weights.file!r}, but they are not in {looked}. "
            remedy = "Put the file there, or name its folder: `--weights DIR`."
            problems.append(Problem.at(f"members.{member.name}.weights.file", message + remedy))
    if members and not kept and not problems:
        problems.append(Problem.at("members", "Expected at least one member, but the weights of all are absent."))
    return kept, files, notes


def _digested(weights: WeightsSpec, file: Path) -> WeightsSpec:
    return weights.model_copy(update={"sha256": digest_file(file)})
