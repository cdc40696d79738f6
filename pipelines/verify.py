"""`ensemble verify`: whether a finished committee is what was computed: its files, its posteriors, its rules."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch

from backbones.errors import InputError
from ensemble.bank import SplitPosteriors, load_posteriors
from ensemble.committee_spec import CommitteeNode
from ensemble.faces import Faces
from ensemble.outside_spec import OUTSIDE
from ensemble.perturbation import PerturbationPlan
from pipelines.bundle import COMMITTEE, POSTERIORS, changed_files, read_json
from pipelines.committee_folder import find_committee
from pipelines.console import Console
from pipelines.data_opening import open_faces_of_fit
from pipelines.device import choose_device, cpu_threads
from pipelines.face_store import FaceStore
from pipelines.folded_member import FoldedMember, load_member
from pipelines.fuse import stored_tree
from pipelines.leaderboard import rule_estimates
from pipelines.machine import machine_facts
from pipelines.member import Member
from pipelines.member_folder import network_folders
from pipelines.spec_file import read_spec_file
from pipelines.stored_posteriors import stored_posteriors
from pipelines.views import view_probabilities
from pipelines.workspace import PACK, Workspace

__all__ = ["Check", "verify_committee"]

HEADER = ("member", "posteriors of", "faces", "views", "largest difference", "result")
_ELSEWHERE = 1e-4
"""Largest difference of a probability that another machine's arithmetic explains."""


@dataclass(frozen=True, kw_only=True)
class Check:
    """One comparison of stored posteriors with computed ones.

    Attributes:
        member: The member, or its copy.
        split: Whose faces were compared; empty where none were.
        faces: How many.
        views: Views of each.
        difference: Largest difference of a probability.
        tolerance: Largest one that is right.
        note: Why nothing was compared.
    """

    member: str
    split: str = ""
    faces: int = 0
    views: int = 0
    difference: float = 0.0
    tolerance: float = 0.0
    note: str = ""

    @property
    def differs(self) -> bool:
        """Whether the stored posteriors are not those of the weights; NaN differs."""
        return not self.difference <= self.tolerance

    def row(self) -> tuple[str, ...]:
        """Its row in the table."""
        if self.note:
            return (self.member, "", "", "", "", self.note)
        result = "differs" if self.differs else "same bits" if self.difference == 0 else "within tolerance"
        return (self.member, self.split, f"{self.faces:,}", str(self.views), f"{self.difference:.3g}", result)


def verify_committee(
    committee: str | Path | None = None,
    *,
    faces: int = 64,
    tolerance: float | None = None,
    device: str | None = None,
    quiet: bool = False,
) -> list[Check]:
    """Check every file of a committee, compute a sample of its posteriors again, and fit its rules again.

    Args:
        committee: Folder, name or MLflow run; default the newest finished one.
        faces: Faces per member and split whose posteriors are computed again; 0 runs no network.
        tolerance: Largest difference of a probability that is right; default 0 on the machine that the member was made
            on, 0.0001 elsewhere.
        device: Torch device.
        quiet: Print only the table.

    Returns:
        The comparisons.

    Raises:
        InputError: Something differs: all of it is listed. Or there is no such committee, or its faces are not at hand.
    """
    if faces < 0:
        raise InputError(f"Expected `--faces` to be at least 0, but got {faces}.")
    if tolerance is not None and not tolerance >= 0:
        raise InputError(f"Expected `--tolerance` to be at least 0, but got {tolerance}.")
    console, folder = Console(quiet=quiet), find_committee(committee)
    changed = changed_files(folder)
    if changed:
        raise InputError(_refused(folder, [f"{name}: its sha256 is another, or it is gone" for name in changed]))
    console.note(f"{folder}: {len(read_json(folder / 'manifest.json')['files']):,} files are as they were")
    if (folder / PACK).is_file():
        console.result(f"{folder}: its files are verified; a pack holds no posteriors to compare")
        return []
    content, node = stored_tree(folder)
    members = tuple(member["name"] for member in content["members"])
    checks = [Check(member=name, note="files only") for name in members]
    if faces:
        checks = list(_Verification(folder, faces, tolerance, device, console).run(members))
    console.table(f"Committee {folder.name}", HEADER, [check.row() for check in checks])
    wrong = [
        f"{c.member}, {c.split}: probabilities differ by {c.difference:.3g}, tolerance {c.tolerance:g}"
        for c in checks
        if c.differs
    ]
    wrong += _refitted(folder, node, seed=int(content["seed"]))
    if wrong:
        raise InputError(_refused(folder, wrong))
    console.result(f"{folder}: verified")
    return checks


def _refused(folder: Path, wrong: list[str]) -> str:
    lines = "".join(f"\n  {line}" for line in wrong)
    return (
        f"Expected `{folder}` to be as it was computed, but found {len(wrong)} difference(s):{lines}\nRestore it from "
        f"a copy, or run the same `ensemble fit` again, which makes anew what is damaged."
    )


class _Verification:
    """Computes posteriors again, member by member."""

    def __init__(
        self,
        folder: Path,
        faces: int,
        tolerance: float | None,
        device: str | None,
        console: Console,
    ) -> None:
        self.folder, self.faces, self.tolerance, self.console = folder, faces, tolerance, console
        self.device = choose_device(device)
        try:
            self.store: FaceStore = open_faces_of_fit(folder, Workspace(), console, device=str(self.device))
        except InputError as error:
            raise InputError(f"{error}\n`ensemble verify --faces 0` checks all but the networks.") from None

    def run(self, members: tuple[str, ...]) -> Iterator[Check]:
        """Check every member, and of one trained in folds every copy and what they say together."""
        for name in members:
            place = self.folder / "members" / name
            content = read_spec_file(place)
            if content.get("kind") == OUTSIDE:
                yield Check(member=name, note="files only: it has no network")
                continue
            own = [(place, name)] if content["spec"].get("folds") is None else []
            copies = [(copy, f"{name}/folds/{copy.name}") for copy in network_folders(place, content) if copy != place]
            for network, label in own + copies:
                yield from self._compare(network, label)
            if copies:
                yield from self._compare(place, name)
                yield _put_together(place, name, [copy for copy, _ in copies])

    def _compare(self, place: Path, name: str) -> Iterator[Check]:
        """Compare one folder's posteriors with those of its network, on the threads that it was made on."""
        content, bank = read_spec_file(place), load_posteriors(place / POSTERIORS)
        environment = content.get("environment") or {}
        with cpu_threads(int(environment.get("threads") or torch.get_num_threads())):
            same = environment == machine_facts() and self.device.type == "cpu" and "CPU" in content["device"]
            tolerance = (0.0 if same else _ELSEWHERE) if self.tolerance is None else self.tolerance
            member = load_member(place, device=self.device)
            for split, stored in bank.splits.items():
                if isinstance(member, FoldedMember) and split == "train":
                    continue  # its out-of-fold posteriors are those of the copies, compared above
                difference = self._difference(member, stored, split, seed=bank.views_seed or 0)
                yield Check(
                    member=name, split=split, faces=min(self.faces, len(stored.ids)), views=stored.views,
                    difference=difference, tolerance=tolerance,
                )  # fmt: skip

    def _difference(self, member: Member | FoldedMember, stored: SplitPosteriors, split: str, *, seed: int) -> float:
        """Largest difference over faces drawn evenly from those stored."""
        source = self.store.split("train" if split in ("train", "held_out") else split)
        rows = np.unique(np.linspace(0, len(stored.ids) - 1, min(self.faces, len(stored.ids))).astype(np.int64))
        images = _images(source, stored.ids[rows])
        with self.console.bar(member.spec.name, len(rows)) as bar:
            computed = view_probabilities(
                member, images, [str(name) for name in stored.ids[rows]], plan=PerturbationPlan(seed=seed),
                views=stored.views, advance=bar.set,
            )  # fmt: skip
        return float(np.abs(computed - stored.probs[:, rows]).max())


def _put_together(place: Path, name: str, copies: Sequence[Path]) -> Check:
    """Compare the out-of-fold posteriors of a member with what its copies say of the faces that they did without."""
    whole = load_posteriors(place / POSTERIORS).splits["train"]
    rows, difference = {str(face): row for row, face in enumerate(whole.ids)}, 0.0
    for copy in copies:
        part = load_posteriors(copy / POSTERIORS).splits["held_out"]
        own = whole.probs[:, [rows[str(face)] for face in part.ids]]
        difference = max(difference, float(np.abs(own - part.probs).max()))
    return Check(member=name, split="train", faces=len(whole.ids), views=whole.views, difference=difference)


def _images(faces: Faces, ids: npt.NDArray[np.str_]) -> npt.NDArray[np.uint8]:
    """The faces of these names."""
    places = {str(name): row for row, name in enumerate(faces.ids)}
    return np.ascontiguousarray(faces.images[[places[str(name)] for name in ids]])


def _refitted(folder: Path, node: CommitteeNode, *, seed: int) -> list[str]:
    """Fit the rules again on the stored posteriors; says where the result is another."""
    stored = read_json(folder / COMMITTEE)
    bank = stored_posteriors(folder, node.members)
    estimate = rule_estimates(
        node, bank.posteriors, bank.labels, seed=seed, every_rule=False, fit_on=bank.out_of_fold
    )["committee"]  # fmt: skip
    fitted = replace(bank.fit(node, seed=seed), temperature=estimate.temperature).to_json()
    keys = sorted(key for key in {*fitted, *stored} if fitted.get(key) != stored.get(key))
    return [f"{COMMITTEE}: fitted again, `{key}` is another" for key in keys]
