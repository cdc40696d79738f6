"""Members that a fit does not train: probabilities that another tool has written, and members of other committees.

Both are named and grouped like trained members. What a posterior file holds, and where a committee lies, is the
pipelines' business.
"""

from __future__ import annotations

from typing import Any

from ensemble.canonical import digest_of
from ensemble.class_map import ClassMap
from ensemble.data_spec import Classes
from ensemble.spec_base import MemberName, Spec

__all__ = ["OUTSIDE", "BorrowedSpec", "LoanSpec", "OutsideSpec", "PosteriorsSpec"]

OUTSIDE = "outside"
"""The `kind` in the `spec.json` of a member without a network."""

_FINGERPRINT_VERSION = 1


class PosteriorsSpec(Spec):
    """Probabilities of the validation faces, written by any other tool.

    Attributes:
        file: A table (.csv, .jsonl, .parquet) or arrays (.npz), beside the YAML or in the working directory.
        sha256: Digest of the file, filled in when the fit is planned.
        classes: What becomes of classes that the data does not have: one of the data's, or null to leave one out.
    """

    _later = ("classes",)

    file: str
    sha256: str | None = None
    classes: Classes | None = None


class LoanSpec(Spec):
    """A trained member of another committee, taken over with its weights.

    Attributes:
        folder: The committee: its folder, its name, or its MLflow run.
        member: Name of the member there.
        sha256: Digest of its weights, filled in when the fit is planned.
        classes: What becomes of classes that the data does not have: one of the data's, or null to leave one out.
    """

    _later = ("classes",)

    folder: str
    member: str | None = None
    sha256: str | None = None
    classes: Classes | None = None


class OutsideSpec(Spec):
    """A member known by its probabilities alone.

    Attributes:
        name: Unique name, also its folder's.
        groups: Groups that the committee tree may name.
        posteriors: Where its probabilities stand.
    """

    name: MemberName
    groups: tuple[str, ...] = ()
    posteriors: PosteriorsSpec

    def fingerprint(self, data_digest: str) -> str:
        """The resume key: the content of its file, and the faces it is about.

        Args:
            data_digest: Digest of the faces of the fit.
        """
        return _key(OUTSIDE, data_digest, self.posteriors.sha256, self.posteriors.classes)


class BorrowedSpec(Spec):
    """A member that another fit has trained.

    Attributes:
        name: Unique name, also its folder's.
        groups: Groups that the committee tree may name.
        committee: Who lends it.
    """

    name: MemberName
    groups: tuple[str, ...] = ()
    committee: LoanSpec

    def fingerprint(self, data_digest: str, class_map: ClassMap | None = None) -> str:
        """The resume key: the content of its weights, and the faces it is evaluated on.

        Args:
            data_digest: Digest of the faces of the fit.
            class_map: From the classes of its network to the data's; None if they are the same.
        """
        return _key("borrowed", data_digest, self.committee.sha256, class_map and class_map.state())


def _key(kind: str, data_digest: str, sha256: str | None, classes: Any) -> str:
    """The digest; `classes` counts only where there is a map of them."""
    content = {"version": _FINGERPRINT_VERSION, "kind": kind, "data": data_digest, "sha256": sha256}
    return digest_of(content | ({"classes": classes} if classes else {}))
