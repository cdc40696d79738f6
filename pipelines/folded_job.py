"""One member trained in folds: the way from its spec to its finished folder, copy by copy.

Every copy is a member of its own, trained without one fold of the training faces, and so resumes as any member does.
What the copies say of the faces that they have not seen makes the out-of-fold posteriors of all training faces.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import numpy.typing as npt

from backbones.errors import InputError
from ensemble.bank import load_posteriors, save_posteriors
from ensemble.canonical import digest_of
from ensemble.faces import Faces
from ensemble.metric import accuracy, nll
from ensemble.perturbation import fuse_views
from pipelines.atomic import write_checked_json, write_json
from pipelines.bundle import HISTORY, POSTERIORS, SPEC, WEIGHTS
from pipelines.checkpoint_place import remove_checkpoints
from pipelines.estimators import ESTIMATORS
from pipelines.fingerprint import digest_file
from pipelines.fit_data import FitData
from pipelines.member_folder import FOLDED, copy_folder, plan_folds
from pipelines.member_job import Listener, MemberJob
from pipelines.progress import mean_history
from pipelines.seed import derived_seed
from pipelines.spec_file import read_spec_file
from pipelines.split import deal_folds

if TYPE_CHECKING:
    from pipelines.member import Member

__all__ = ["FoldCopyJob", "FoldedJob"]

_FINGERPRINT_VERSION = 1

_OF_A_COPY = ("best_epoch", "epochs", "validation_accuracy", "validation_nll", "seconds", "weights_sha256")
"""What the member's `spec.json` says of each copy."""

_OF_ALL = ("classes", "face_size", "face_channels", "device", "precision", "torch", "environment")
"""What is the same for all copies."""


@dataclass(frozen=True, kw_only=True)
class FoldCopyJob(MemberJob):
    """What it takes to bring one copy to its end: a member that does without a fold, which it judges then.

    Attributes:
        held_out: (N,) marks the training faces that it does without.
    """

    judges: ClassVar[tuple[str, ...]] = ("validation", "held_out")

    held_out: npt.NDArray[np.bool_]

    def data(self) -> FitData:
        """The faces it is trained and validated on."""
        return super().data().without(self.held_out)

    def _judged(self, data: FitData) -> dict[str, Faces]:
        assert data.whole is not None  # a fold is held out of it
        return {"validation": data.validation, "held_out": data.whole.take(self.held_out)}


@dataclass(frozen=True, kw_only=True)
class FoldedJob(MemberJob):
    """What it takes to bring a member with `folds` to its end."""

    judges: ClassVar[tuple[str, ...]] = ("train", "validation")

    def fold(self, train: Faces) -> npt.NDArray[np.int64]:
        """(N,) fold that holds each training face out: stratified, and a group's faces in one fold.

        Raises:
            InputError: There are fewer faces or groups than folds.
        """
        seed = derived_seed(self.spec.seed, "folds")
        try:
            return deal_folds(train.labels, self.store.groups("train"), folds=self._folds, seed=seed)
        except InputError as error:
            raise InputError(f"member `{self.spec.name}`: {error} Lower its `folds`.") from None

    def fingerprint(self, data: FitData) -> str:
        """The member's resume key: that of an ordinary one, and who is in which fold."""
        return digest_of({
            "version": _FINGERPRINT_VERSION, "kind": FOLDED, "member": super().fingerprint(data),
            "fold": self.fold(data.train).tolist(),
        })  # fmt: skip

    def build(self) -> Member:
        """Build an untrained copy: the check that all of them can be built.

        Raises:
            InputError: A name, a parameter, the input or the weights are not right, or there are too many folds.
        """
        train = self.store.split("train")
        fold, member = self.fold(train), super().build()
        if member.network.head.estimator is not None:
            least = ESTIMATORS.build(member.network.head.estimator).least(member.network.head)
            self._check_counts(train, fold, least)
        return member

    def _check_counts(self, train: Faces, fold: npt.NDArray[np.int64], least: int) -> None:
        """Refuse folds that leave a copy too few faces of a class for what its head is fitted by."""
        for number in range(self._folds):
            counts = np.bincount(train.labels[fold != number], minlength=len(train.classes))
            if counts.min() < least:
                few = int(counts.argmin())
                raise InputError(
                    f"member `{self.spec.name}`: Expected at least {least} training faces of every class outside each "
                    f"of its {self._folds} folds for the head `{self.spec.head.kind}`, but class "
                    f"`{train.classes[few]}` has {counts[few]} of {int((train.labels == few).sum())} there. "
                    f"Leave out its `folds` or take more of them, lower `head.folds`, or add faces."
                )

    def copies(self, fold: npt.NDArray[np.int64]) -> list[FoldCopyJob]:
        """The jobs of its copies, each with a seed of its own.

        Args:
            fold: (N,) fold of each training face.
        """
        return [
            FoldCopyJob(
                spec=self.spec.model_copy(update={"folds": None, "seed": _copy_seed(self.spec.seed, number)}),
                weights=self.weights, store=self.store, folder=copy_folder(self.folder, number), cache=self.cache,
                device=self.device, threads=self.threads, views=self.views, seed=self.seed, held_out=fold == number,
            )
            for number in range(self._folds)
        ]  # fmt: skip

    def run(self, listen: Listener) -> None:
        """Train or resume one copy after the other, then put together what they say.

        Raises:
            InputError: The loss is no longer a number.
        """
        data = self.data()
        fold, fingerprint = self.fold(data.train), self.fingerprint(data)
        plan_folds(self.folder, fingerprint=fingerprint, faces=np.bincount(fold).tolist())
        copies = self.copies(fold)
        for number, copy in enumerate(copies):
            copy.run(_CopyListener(number, len(copies), listen))
        self._assemble(copies, data, fold, fingerprint)

    @property
    def _folds(self) -> int:
        assert self.spec.folds is not None  # the job is only made for members with folds
        return self.spec.folds

    def _assemble(
        self, copies: Sequence[FoldCopyJob], data: FitData, fold: npt.NDArray[np.int64], fingerprint: str
    ) -> None:
        """Posteriors and history first, then `spec.json`, which says that the member is finished."""
        from pipelines.folded_member import mean_of_copies

        banks = [load_posteriors(copy.folder / POSTERIORS).splits for copy in copies]
        validation = mean_of_copies([bank["validation"].probs for bank in banks])  # (V, N, K)
        unseen = np.empty((len(validation), len(data.train), validation.shape[2]))
        for number, bank in enumerate(banks):
            unseen[:, fold == number] = bank["held_out"].probs
        judged = {"train": (data.train, unseen), "validation": (data.validation, validation)}
        save_posteriors(
            self.folder / POSTERIORS,
            classes=data.train.classes,
            ids={split: faces.ids for split, (faces, _) in judged.items()},
            probs={split: probs for split, (_, probs) in judged.items()},
            labels={split: faces.labels for split, (faces, _) in judged.items()},
            views_seed=self.seed,
        )
        histories = [json.loads((copy.folder / HISTORY).read_text(encoding="utf-8")) for copy in copies]
        write_json(self.folder / HISTORY, mean_history(histories))
        (self.folder / WEIGHTS).unlink(missing_ok=True)  # of an ordinary member that was not finished
        remove_checkpoints(self.folder)
        content = self._content(copies, judged, fingerprint)
        write_checked_json(self.folder / SPEC, {**content, "history_sha256": digest_file(self.folder / HISTORY)})

    def _content(
        self,
        copies: Sequence[FoldCopyJob],
        judged: dict[str, tuple[Faces, npt.NDArray[np.float64]]],
        fingerprint: str,
    ) -> dict[str, Any]:
        """What `spec.json` says; effort is that of all copies together, scores are of the fused views."""
        own = [read_spec_file(copy.folder) for copy in copies]
        scores: dict[str, float] = {}
        for name, split in (("validation", "validation"), ("out_of_fold", "train")):
            faces, probs = judged[split]
            fused = fuse_views(probs)
            scores |= {f"{name}_accuracy": accuracy(fused, faces.labels), f"{name}_nll": nll(fused, faces.labels)}
        return {
            "fingerprint": fingerprint,
            "kind": FOLDED,
            "spec": self.spec.model_dump(mode="json"),
            **{key: own[0].get(key) for key in _OF_ALL},
            **{key: sum(content[key] for content in own) for key in ("parameters", "epochs")},
            "best_epoch": None,
            "seconds": round(sum(content["seconds"] for content in own), 1),
            **scores,
            "copies": [
                {
                    "seed": copy.spec.seed, "held_out": int(copy.held_out.sum()),
                    **{key: content[key] for key in _OF_A_COPY},
                }
                for copy, content in zip(copies, own, strict=True)
            ],
        }  # fmt: skip


class _CopyListener:
    """Hands on how a copy goes on, as a part of the member's way.

    Args:
        number: Of the copy, from 0.
        copies: How many there are.
        listen: Told of the member.
    """

    def __init__(self, number: int, copies: int, listen: Listener) -> None:
        self.number, self.copies, self.listen = number, copies, listen

    def __call__(self, member: str, event: str, payload: Any) -> None:
        if event == "epoch":
            self.listen(member, "copy", (self.number, self.copies, payload))
            return
        if event == "note":
            self.listen(member, event, f"copy {self.number + 1} of {self.copies}, {payload}")
            return
        if event == "weights":  # all copies start from the same
            if self.number == 0:
                self.listen(member, event, payload)
            return
        what, done, total = payload
        if what == "epochs":  # one bar for those of all copies
            done, total = self.number * total + done, self.copies * total
        self.listen(member, "work", (f"copy {self.number + 1} of {self.copies}, {what}", done, total))


def _copy_seed(seed: int, number: int) -> int:
    """Seed of a copy: 31 bits, since scikit-learn takes no more than 32."""
    return derived_seed(seed, "copy", number) >> 32
