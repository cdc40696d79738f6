"""One trial of a search: trains the member with the trial's settings, once or fold by fold, and scores it.

Everything lies in the trial's folder, so that a killed trial goes on where it was. It knows neither the study nor the
tracker.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch

from backbones.errors import InputError
from ensemble.metric import accuracy
from ensemble.spec import MemberSpec
from pipelines.atomic import write_json
from pipelines.bundle import HISTORY
from pipelines.feature_cache import cached_features
from pipelines.fit_data import FitData
from pipelines.forward import forward_all, softmax
from pipelines.member import Member
from pipelines.member_fit import fit_member, member_fingerprint
from pipelines.member_folder import is_finished
from pipelines.progress import mean_history
from pipelines.seed import derived_seed
from pipelines.spec_file import read_spec_file
from pipelines.trainer import Watcher
from pipelines.tune_data import TuneData, drawn

__all__ = ["TrialRun", "TrialScore", "TrialWatcher", "UnbuiltError", "tidy"]

_SCORE = "score.json"
_TRAIN_FACES = 2_000
"""Training faces that are looked at again, without augmentation, once a trial is trained."""


class TrialWatcher(Protocol):
    """Is told how a trial goes on."""

    def watch(self, fold: int) -> Watcher:
        """Who is told of the batches and epochs of a fold."""
        ...

    def work(self, what: str, done: int, total: int) -> None:
        """So much is done of work that is no training."""
        ...


class UnbuiltError(InputError):
    """The network cannot be built: these settings do not go together."""


@dataclass(frozen=True, kw_only=True)
class TrialScore:
    """What a trial came to; with folds, their mean.

    Attributes:
        accuracy: Of the kept epoch on the faces that judge it.
        nll: Likewise, in nats.
        train_accuracy: On at most 2,000 of the training faces, without augmentation.
        seconds: Training time of all folds.
        history: One record per epoch; with folds, as far as all of them went.
    """

    accuracy: float
    nll: float
    train_accuracy: float
    seconds: float
    history: list[dict[str, float]]

    @property
    def facts(self) -> dict[str, float]:
        """The numbers by which trials are compared."""
        return {name: getattr(self, name) for name in ("accuracy", "nll", "train_accuracy", "seconds")}


@dataclass(frozen=True, kw_only=True)
class TrialRun:
    """What it takes to run a trial.

    Attributes:
        spec: The member with the trial's settings.
        weights: Its pretrained weights file, if any.
        data: The faces of the search.
        folder: The trial's folder.
        cache: Folder for frozen features.
        device: Torch device.
    """

    spec: MemberSpec
    weights: Path | None
    data: TuneData
    folder: Path
    cache: Path
    device: torch.device

    def run(self, watcher: TrialWatcher) -> TrialScore:
        """Train or resume every fold and score the trial.

        Raises:
            DivergedError: The loss is no longer a number.
            UnbuiltError: The network cannot be built with these settings.
            InputError: Its weights, or what was stored of it, cannot be read.
        """
        scores = [self._fold(number, watcher) for number in range(self.data.folds)]
        means = {key: float(np.mean([score[key] for score in scores])) for key in ("accuracy", "nll", "train_accuracy")}
        seconds = sum(score["seconds"] for score in scores)
        return TrialScore(**means, seconds=seconds, history=mean_history([score["history"] for score in scores]))

    def _fold(self, number: int, watcher: TrialWatcher) -> dict[str, Any]:
        folder = self.folder if self.data.folds == 1 else self.folder / f"fold-{number}"
        data = self.data.part(number)
        fingerprint = member_fingerprint(self.spec, data)
        stored = _stored(folder, fingerprint)
        if stored is not None:
            return stored
        if is_finished(folder, fingerprint):
            member = Member.load(folder, device=self.device)
        else:
            folder.mkdir(parents=True, exist_ok=True)
            member = self._build(data)
            fit_member(
                member, data, folder=folder, cache=self.cache, watcher=watcher.watch(number),
                advance=watcher.work,
            )  # fmt: skip
        spec = read_spec_file(folder)
        score = {
            "fingerprint": fingerprint,
            "accuracy": spec["validation_accuracy"],
            "nll": spec["validation_nll"],
            "train_accuracy": self._train_accuracy(member, data),
            "seconds": spec["seconds"],
            "history": json.loads((folder / HISTORY).read_text(encoding="utf-8")),
        }
        write_json(folder / _SCORE, score)
        return score

    def _build(self, data: FitData) -> Member:
        try:
            return self._built(data, self.weights)
        except InputError:
            try:
                self._built(data, None)
            except InputError as error:
                raise UnbuiltError(str(error)) from None
            raise  # it is the weights

    def _built(self, data: FitData, weights: Path | None) -> Member:
        faces = data.train
        return Member.build(
            self.spec, classes=faces.classes, face_size=faces.size, face_channels=faces.channels, device=self.device,
            weights=weights,
        )  # fmt: skip

    def _train_accuracy(self, member: Member, data: FitData) -> float:
        faces = data.train
        rows = drawn(faces.labels, _TRAIN_FACES, seed=derived_seed("train accuracy"))
        if not self.spec.frozen_backbone:
            return accuracy(member.probabilities(faces.images[rows]), faces.labels[rows])
        mirrored = self.spec.augment == "flip"
        features = cached_features(member, faces, mirrored=mirrored, cache=self.cache)[0][rows]
        return accuracy(softmax(forward_all(member.network.head, features, device=self.device)), faces.labels[rows])


def tidy(folder: Path) -> None:
    """Delete weights and checkpoints of a trial that has ended; its numbers stay."""
    for path in folder.rglob("*"):
        if path.is_file() and path.suffix != ".json":
            path.unlink()


def _stored(folder: Path, fingerprint: str) -> dict[str, Any] | None:
    """The score of a fold that was finished before."""
    try:
        score = json.loads((folder / _SCORE).read_text(encoding="utf-8"))
        return score if score["fingerprint"] == fingerprint else None
    except (OSError, ValueError, KeyError, TypeError):
        return None
