"""Finds a trained member of an earlier committee, and makes sure that it is whole. Loads no torch.

What is taken of it - all of it, or the backbone as pretrained weights - is up to others.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from backbones.errors import InputError, nearest
from ensemble.outside_spec import OUTSIDE
from ensemble.spec import MemberSpec
from pipelines.bundle import SPEC, WEIGHTS, read_json
from pipelines.committee_folder import find_committee
from pipelines.fingerprint import checked_digest, digest_file
from pipelines.home_path import expanded
from pipelines.workspace import MANIFEST

__all__ = ["LentMember", "find_lender", "find_lent_member"]


@dataclass(frozen=True, kw_only=True)
class LentMember:
    """A finished member with a network.

    Attributes:
        name: Its name in its committee.
        committee: Name of the committee.
        folder: Where it lies.
        spec: What it was trained from.
        content: Its `spec.json`.
        sha256: Digest of its weights; None if they were not read.
    """

    name: str
    committee: str
    folder: Path
    spec: MemberSpec
    content: Mapping[str, Any]
    sha256: str | None

    @property
    def weights(self) -> Path:
        """The state of its network."""
        return self.folder / WEIGHTS


def find_lender(text: str, folder: Path, *, field: str) -> Path:
    """The folder of the committee that is meant: beside the YAML, or as `--committee` finds it.

    Args:
        text: A folder, a name, or an MLflow run.
        folder: That of the YAML.
        field: What the YAML calls it, for the message.

    Raises:
        InputError: There is none, or it is unfinished.
    """
    beside = folder / expanded(text)
    if (beside / MANIFEST).is_file():
        return beside
    try:
        return find_committee(text)
    except InputError as error:
        raise InputError(str(error).replace("`--committee`", f"`{field}`")) from None


def find_lent_member(
    lender: Path, name: str | None, *, digest: Callable[[Path], str | None] = digest_file
) -> LentMember:
    """A member of a finished committee.

    Args:
        lender: The committee's folder.
        name: The member's; None will do where there is only one. A copy of a member trained in folds is named
            `MEMBER/folds/NUMBER`.
        digest: Reads the sha256 of a file, or gives None without reading: then only the rest is checked.

    Raises:
        InputError: There is no such member, it has no network, or it is damaged or of another version.
    """
    names = read_json(lender / MANIFEST).get("members", [])
    if name is None and len(names) == 1:
        name = str(names[0])
    if str(name).partition("/")[0] not in names:
        raise InputError(
            f"Expected `member` to be one of the members of `{lender}`, but got {name!r}. {nearest(str(name), names)}"
        )
    source = lender / "members" / str(name)
    content = read_json(source / SPEC)
    if content.get("kind") == OUTSIDE:
        raise InputError(
            f"Expected a member with a network, but `{name}` of `{lender}` is an outside member itself. "
            f"Name its file: `posteriors: {{file: …}}`."
        )
    try:
        spec = MemberSpec.model_validate(content.get("spec"))
    except ValidationError as error:
        raise InputError(f"Expected `{source}` to be a member of this version, but got {error.error_count()} unknown "
                         f"or wrong settings.") from None  # fmt: skip
    if spec.folds is not None:
        raise InputError(
            f"Expected a member with one network, but `{name}` of `{lender}` was trained in {spec.folds} folds. "
            f"Name one of its copies: `member: {name}/folds/0`."
        )
    sha256 = checked_digest(source / WEIGHTS, content.get("weights_sha256"), digest)
    return LentMember(
        name=str(name), committee=lender.resolve().name, folder=source, spec=spec, content=content, sha256=sha256
    )
