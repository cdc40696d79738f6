"""Takes a trained member over from another committee: its weights are copied, nothing is trained.

The copy is evaluated on this fit's validation faces and predicts by itself, whatever becomes of the lender.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from backbones.errors import InputError
from ensemble.class_map import ClassMap
from ensemble.outside_spec import BorrowedSpec
from ensemble.spec import MemberSpec
from pipelines.atomic import replacing, write_checked_json
from pipelines.bundle import HISTORY, POSTERIORS, REPORT, SPEC, WEIGHTS, read_json
from pipelines.checkpoint_place import remove_checkpoints
from pipelines.fingerprint import checked_digest, digest_file
from pipelines.fit_data import FitData
from pipelines.member_job import Listener, MemberJob
from pipelines.outside_plan import loan_map
from pipelines.spec_file import read_spec_file
from pipelines.teacher_plan import judged_alike

if TYPE_CHECKING:
    from pipelines.member import Member

__all__ = ["BorrowedJob", "borrowed_spec"]

_OF_THE_LENDER = ("validation_accuracy", "validation_nll", "class_map")
"""What is true of the lender's validation faces and classes only."""


def borrowed_spec(loan: BorrowedSpec, source: Path) -> MemberSpec:
    """What the member was trained from, under its new name and groups.

    Args:
        loan: As planned.
        source: The member's folder in the committee that lends it.
    """
    spec = MemberSpec.model_validate(read_spec_file(source)["spec"])
    return spec.model_copy(update={"name": loan.name, "groups": loan.groups})


@dataclass(frozen=True, kw_only=True)
class BorrowedJob(MemberJob):
    """What it takes to take one member over.

    Attributes:
        loan: Whose member it is.
        source: The member's folder there.
    """

    loan: BorrowedSpec
    source: Path

    def fingerprint(self, data: FitData) -> str:
        """The member's resume key."""
        return self.loan.fingerprint(data.digest, self.class_map())

    def build(self) -> Member:
        """Load the member from its lender: the check that it can be taken over.

        Raises:
            InputError: It is damaged, or knows other classes.
        """
        import torch

        from pipelines.member import Member

        self.class_map()
        return Member.load(self.source, device=torch.device(self.device))

    def class_map(self) -> ClassMap | None:
        """From the classes of the network to the data's; None if they are the same.

        Raises:
            InputError: A class has no place among the data's, or one of the data's is unknown to the member.
        """
        try:
            return loan_map(self.loan, self.source, self.store.classes)
        except InputError as error:
            raise InputError(f"member `{self.spec.name}`: {error}") from None

    def note(self, data: FitData) -> str | None:
        """A warning if the lender was fitted on other faces: some of the validation faces may be among them."""
        report = read_json(Path(self.loan.committee.folder) / REPORT)
        same = report.get("data", {}).get("digest") == data.digest
        if same or judged_alike(self.source / POSTERIORS, data.validation):
            return None
        return (
            f"{self.spec.name}: `{self.source}` was trained on other data ({report.get('data', {}).get('source')}); "
            f"its accuracy means something only if these validation faces were not among its training faces"
        )

    def _make(self, data: FitData, listen: Listener, advance: Callable[[str, int, int], None]) -> None:
        """Copy weights and history first, then write `spec.json`, which says that the member is finished."""
        from pipelines.machine import machine_facts

        for name in (WEIGHTS, HISTORY):
            with replacing(self.folder / name) as temporary:
                if name == HISTORY and not (self.source / name).is_file():  # a pack tells of no epochs
                    temporary.write_text("[]\n", encoding="utf-8")
                else:
                    shutil.copyfile(self.source / name, temporary)
        checked_digest(self.folder / WEIGHTS, read_spec_file(self.source).get("weights_sha256"))
        content = {key: value for key, value in read_spec_file(self.source).items() if key not in _OF_THE_LENDER}
        lender = {
            "folder": self.loan.committee.folder, "member": self.loan.committee.member,
            "fingerprint": content["fingerprint"],
        }  # fmt: skip
        class_map = self.class_map()
        write_checked_json(self.folder / SPEC, {
            **content,
            "classes": list(self.store.classes),
            **({} if class_map is None else {"class_map": class_map.state()}),
            "fingerprint": self.fingerprint(data),
            "kind": "borrowed",
            "spec": self.spec.model_dump(mode="json"),
            "lender": lender,
            "shown_size": self.store.size,
            "shown_channels": self.store.channels,
            "environment": machine_facts(),
            "history_sha256": digest_file(self.folder / HISTORY),
        })  # fmt: skip
        remove_checkpoints(self.folder)
