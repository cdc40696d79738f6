"""One member's whole way, from its spec to its finished folder, in whatever process it is run.

A job holds everything that takes, as plain values that can be sent to another process; it knows no console and no
tracker. The process that only hands jobs on has no need of torch, so nothing here loads it before a job is run.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Protocol

import numpy as np

from backbones.errors import InputError
from ensemble.bank import load_posteriors, save_posteriors
from ensemble.faces import Faces
from ensemble.perturbation import PerturbationPlan
from ensemble.spec import MemberSpec
from pipelines.bundle import POSTERIORS
from pipelines.face_store import FaceStore
from pipelines.fingerprint import digest_file
from pipelines.fit_data import FitData
from pipelines.member_folder import is_finished
from pipelines.teacher_plan import check_teacher

if TYPE_CHECKING:
    import torch

    from pipelines.member import Member

__all__ = ["Listener", "MemberJob"]


class Listener(Protocol):
    """Is told how a job goes on: the member's name, what happened ("work", "weights", "epoch" …), and details."""

    def __call__(self, member: str, event: str, payload: Any) -> None:
        """What happened, and its payload.

        `work`: (what, done, total); `weights`: a line on what was loaded; `note`: a line on something else; `epoch`:
        the `Progress` after it; `copy`: (number, copies, its `Progress`); `lost`: why it cannot be finished.
        """


@dataclass(frozen=True, kw_only=True)
class MemberJob:
    """What it takes to bring one member to its end.

    Attributes:
        spec: The member.
        weights: Its pretrained weights file, if any.
        store: The faces; only train and validation are opened.
        folder: The member's folder.
        cache: Folder for frozen features.
        device: Torch device.
        threads: Threads of the CPU; part of what makes a result repeat bit for bit.
        views: Views of each validation face in the posterior bank.
        seed: Seed of the views.
        judges: Splits of which it stores posteriors.
    """

    judges: ClassVar[tuple[str, ...]] = ("validation",)

    spec: MemberSpec
    weights: Path | None
    store: FaceStore
    folder: Path
    cache: Path
    device: str
    threads: int
    views: int
    seed: int

    def data(self) -> FitData:
        """The faces it is trained and validated on."""
        return FitData(train=self.store.split("train"), validation=self.store.split("validation"))

    def fingerprint(self, data: FitData) -> str:
        """The member's resume key."""
        from pipelines.member_fit import member_fingerprint

        return member_fingerprint(self.spec, data)

    def build(self) -> Member:
        """Build the untrained member: the check that it can be built at all.

        Raises:
            InputError: A name, a parameter, the input or the weights are not right.
        """
        import torch

        from pipelines.member import Member

        train = self.store.split("train")
        train.check_targets(self.spec.targets)
        self._check_training(train)
        if self.spec.teacher is not None:
            check_teacher(self.spec.teacher, self.store.classes)
        return Member.build(
            self.spec, classes=self.store.classes, face_size=self.store.size, face_channels=self.store.channels,
            device=torch.device(self.device), weights=self.weights,
        )  # fmt: skip

    def _check_training(self, train: Faces) -> None:
        """Refuse what could not be trained so, before anything is."""
        import torch

        from backbones.registry import LOSSES
        from pipelines.augmentation import Augmentation

        try:
            Augmentation(self.spec.augment).check(torch.from_numpy(np.array(train.images[:8])))
            LOSSES.build(self.spec.loss.kind, torch.from_numpy(train.class_counts), **self.spec.loss.parameters)
        except InputError as error:
            raise InputError(f"member `{self.spec.name}`: {error}") from None
        warmup, epochs = self.spec.schedule.warmup_epochs, self.spec.epochs
        if warmup >= epochs:
            raise InputError(
                f"member `{self.spec.name}`: Expected `schedule.warmup_epochs` to be less than `epochs` ({epochs}), "
                f"but got {warmup:g}. Shorten the warm-up."
            )

    def _check_weights(self) -> None:
        """The file may have been replaced since the fit was planned, hours ago perhaps."""
        planned = self.spec.weights.sha256 if self.spec.weights else None
        if self.weights is not None and planned is not None and digest_file(self.weights) != planned:
            raise InputError(
                f"member `{self.spec.name}`: Expected `{self.weights}` to stay as it was when the fit began, but its "
                f"content has changed. Run the same command again, which plans with the new file."
            )

    def is_done(self, fingerprint: str | None = None) -> bool:
        """Whether the folder holds the finished member and its posteriors.

        Args:
            fingerprint: The member's, where it is known already.
        """
        return is_finished(self.folder, fingerprint or self.fingerprint(self.data())) and self._has_posteriors()

    def run(self, listen: Listener) -> None:
        """Train or resume the member (or whatever else makes it), then store its posteriors.

        Raises:
            InputError: The loss is no longer a number.
        """
        from pipelines.device import choose_device, cpu_threads

        device, data, name = choose_device(self.device), self.data(), self.spec.name

        def work(what: str, done: int, total: int) -> None:
            listen(name, "work", (what, done, total))

        with cpu_threads(self.threads):
            if not is_finished(self.folder, self.fingerprint(data)):
                (self.folder / POSTERIORS).unlink(missing_ok=True)  # of another member, should its folder not tell
                self._make(data, listen, work)
            if not self._has_posteriors():
                self._judge(data, device, work)

    def _judge(self, data: FitData, device: torch.device, advance: Callable[[str, int, int], None]) -> None:
        """Store what the finished member says of every view of the faces that it judges."""
        from pipelines.folded_member import load_member
        from pipelines.views import view_probabilities

        member, judged = load_member(self.folder, device=device), self._judged(data)
        probs = {
            split: view_probabilities(
                member, faces.images, [str(i) for i in faces.ids], plan=PerturbationPlan(seed=self.seed),
                views=self.views, advance=partial(advance, f"{split} faces"),
            )
            for split, faces in judged.items()
        }  # fmt: skip
        save_posteriors(
            self.folder / POSTERIORS,
            classes=data.validation.classes,
            ids={split: faces.ids for split, faces in judged.items()},
            probs=probs,
            labels={split: faces.labels for split, faces in judged.items()},
            views_seed=self.seed,
        )

    def _make(self, data: FitData, listen: Listener, advance: Callable[[str, int, int], None]) -> None:
        """Write the member's folder, all but its posteriors."""
        from pipelines.member_fit import fit_member
        from pipelines.told_watcher import ToldWatcher
        from pipelines.weights_report import report_line

        self._check_weights()
        watcher = ToldWatcher(self.spec.name, self.spec.epochs, listen)
        member = self.build()
        if member.report is not None:
            listen(self.spec.name, "weights", report_line(self.spec, member.report))
        fit_member(member, data, folder=self.folder, cache=self.cache, watcher=watcher, advance=advance)

    def _judged(self, data: FitData) -> dict[str, Faces]:
        """The faces whose posteriors are stored, by `judges`."""
        return {"validation": data.validation}

    def _has_posteriors(self) -> bool:
        try:
            bank = load_posteriors(self.folder / POSTERIORS)
            same = self.views == 1 or bank.views_seed == self.seed
            return same and all(bank.splits[name].views == self.views for name in self.judges)
        except (InputError, KeyError):
            return False  # absent or damaged: computed anew
