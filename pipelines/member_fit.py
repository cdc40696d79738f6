"""Trains one member, or resumes it, or finds that it is finished already."""

from __future__ import annotations

import hashlib
import shutil
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import nn

from backbones.registry import LOSSES
from backbones.weights import LoadReport
from ensemble.faces import Faces
from ensemble.metric import accuracy, nll
from ensemble.outside_spec import OUTSIDE
from ensemble.spec import MemberSpec
from pipelines.atomic import write_json
from pipelines.augmentation import Augmentation
from pipelines.batches import Batches, FaceBatches, FeatureBatches
from pipelines.checkpoint import Progress, save_tensors
from pipelines.device import describe_device, resolve_precision
from pipelines.estimators import ESTIMATORS
from pipelines.feature_cache import cached_features
from pipelines.fingerprint import digest_file
from pipelines.forward import forward_all, softmax
from pipelines.member import SPEC, WEIGHTS, Member, read_spec_file
from pipelines.trainer import Trainer, Watcher

__all__ = ["FitData", "fit_member", "is_finished", "make_room", "member_fingerprint"]

CHECKPOINT = "checkpoint.safetensors"
HISTORY = "history.json"


@dataclass(frozen=True, kw_only=True)
class FitData:
    """What members are trained on. The test split is not here, so that no fit can see it."""

    train: Faces
    validation: Faces

    @property
    def digest(self) -> str:
        """Digest of everything a fit sees."""
        parts = [d for f in (self.train, self.validation) for d in (f.digest, f.names_digest)]
        return hashlib.sha256("/".join(parts).encode()).hexdigest()


def member_fingerprint(spec: MemberSpec, data: FitData) -> str:
    """The resume key of a member on this data."""
    return spec.fingerprint(data.digest)


def is_finished(folder: Path, fingerprint: str) -> bool:
    """Whether the folder holds the finished member of that fingerprint; an outside member has no weights."""
    if not (folder / SPEC).is_file():
        return False
    content = read_spec_file(folder)
    whole = content.get("kind") == OUTSIDE or (folder / WEIGHTS).is_file()
    return bool(whole and content.get("fingerprint") == fingerprint)


def fit_member(
    member: Member,
    data: FitData,
    *,
    folder: Path,
    cache: Path,
    watcher: Watcher,
    advance: Callable[[int, int], None] | None = None,
) -> Progress:
    """Train a member to the end and write its folder; a checkpoint there is continued.

    Args:
        member: The untrained member, pretrained weights loaded.
        data: Training and validation faces.
        folder: Where it goes.
        cache: Folder for frozen features.
        watcher: Told after batches and epochs.
        advance: Told (rows done, rows in all) while frozen features are computed.

    Raises:
        InputError: The loss is no longer a number.
    """
    fingerprint, started = member_fingerprint(member.spec, data), time.monotonic()
    member.input_layer.fit(data.train.images)
    if member.network.head.estimator is not None:
        progress = _fit_at_once(member, data, fingerprint, cache, advance)
        _write(member, progress, folder)
        return progress
    if member.spec.frozen_backbone:
        model, prepare, batches, validate = _from_features(member, data, cache, advance)
    else:
        model, prepare, batches, validate = _from_faces(member, data)
    counts = torch.from_numpy(data.train.class_counts)
    loss = LOSSES.build(member.spec.loss.kind, counts, **member.spec.loss.parameters).to(member.device)
    trainer = Trainer(
        model=model, prepare=prepare, loss=loss, batches=batches, validate=validate, spec=member.spec,
        fingerprint=fingerprint, device=member.device, checkpoint=folder / CHECKPOINT, watcher=watcher,
    )  # fmt: skip
    prepared = time.monotonic() - started
    progress = trainer.run()
    progress.seconds += prepared
    _write(member, progress, folder)
    return progress


def make_room(folder: Path, fingerprint: str) -> None:
    """Put a finished member of another spec aside, and take back the one of this fingerprint if it was put aside.

    Nothing that was trained is deleted: it lies under `replaced/` beside the members' folder.
    """
    shelf = folder.parent.parent / "replaced"
    if (folder / SPEC).is_file() and not is_finished(folder, fingerprint):
        old = shelf / f"{folder.name}-{read_spec_file(folder)['fingerprint'][:12]}"
        shelf.mkdir(exist_ok=True)
        shutil.rmtree(old, ignore_errors=True)
        folder.rename(old)
    kept = shelf / f"{folder.name}-{fingerprint[:12]}"
    if kept.is_dir() and not folder.exists():
        kept.rename(folder)
    folder.mkdir(parents=True, exist_ok=True)


def _scored(probs: npt.NDArray[np.float64], labels: npt.NDArray[np.int64]) -> tuple[float, float]:
    return nll(probs, labels), accuracy(probs, labels)


def _from_faces(member: Member, data: FitData) -> tuple[nn.Module, Any, Batches, Any]:
    """Train the network on augmented faces."""
    spec = member.spec
    batches = FaceBatches(
        data.train.images, data.train.targets(use_votes=spec.targets == "votes"),
        augmentation=Augmentation(spec.augment), batch_size=spec.batch_size, seed=spec.seed,
        ahead=member.device.type != "cpu",
    )  # fmt: skip

    def validate(model: nn.Module) -> tuple[float, float]:
        images = data.validation.images
        logits = forward_all(model, images, device=member.device, prepare=member.input_layer)
        return _scored(softmax(logits), data.validation.labels)

    return member.network, member.input_layer.random_window, batches, validate


def _from_features(member: Member, data: FitData, cache: Path, advance: Any) -> tuple[nn.Module, Any, Batches, Any]:
    """Train the head on cached features of the frozen backbone."""
    spec = member.spec
    mirrored = spec.augment == "flip"
    train = cached_features(member, data.train, mirrored=mirrored, cache=cache, advance=advance)
    validation = cached_features(member, data.validation, mirrored=False, cache=cache, advance=advance)[0]
    targets = data.train.targets(use_votes=spec.targets == "votes")
    batches = FeatureBatches(train, targets, batch_size=spec.batch_size, seed=spec.seed)

    def validate(model: nn.Module) -> tuple[float, float]:
        return _scored(softmax(forward_all(model, validation, device=member.device)), data.validation.labels)

    return member.network.head, nn.Identity(), batches, validate


def _fit_at_once(member: Member, data: FitData, fingerprint: str, cache: Path, advance: Any) -> Progress:
    """Let an estimator fit the head on cached features; the history has one entry."""
    started, head, mirrored = time.monotonic(), member.network.head, member.spec.augment == "flip"
    train = cached_features(member, data.train, mirrored=mirrored, cache=cache, advance=advance)  # (V, N, F)
    validation = cached_features(member, data.validation, mirrored=False, cache=cache, advance=advance)[0]
    labels = np.tile(data.train.labels, len(train))
    rows = train.reshape(-1, train.shape[-1])
    ESTIMATORS.build(str(head.estimator)).fit(head, rows, labels, seed=member.spec.seed)
    train_nll, _ = _scored(softmax(forward_all(head, rows, device=member.device)), labels)
    validation_nll, score = _scored(
        softmax(forward_all(head, validation, device=member.device)), data.validation.labels
    )
    seconds = time.monotonic() - started
    entry = {
        "epoch": 1, "train_loss": train_nll, "validation_nll": validation_nll, "validation_accuracy": score, "lr": 0.0,
        "seconds": round(seconds, 3),
    }  # fmt: skip
    return Progress(fingerprint, epoch=1, best_epoch=1, best_value=score, seconds=seconds, history=[entry])


def _write(member: Member, progress: Progress, folder: Path) -> None:
    """Weights and history first, then `spec.json`, which says that the member is finished."""
    save_tensors(folder / WEIGHTS, member.network.state_dict())
    write_json(folder / HISTORY, progress.history)
    best = progress.history[progress.best_epoch - 1]
    write_json(folder / SPEC, {
        "fingerprint": progress.fingerprint,
        **member.describe(),
        "best_epoch": progress.best_epoch,
        "epochs": progress.epoch,
        "validation_accuracy": best["validation_accuracy"],
        "validation_nll": best["validation_nll"],
        "seconds": round(progress.seconds, 1),
        "device": describe_device(member.device),
        "precision": resolve_precision(member.spec.precision, member.device),
        "torch": torch.__version__,
        "weights_sha256": digest_file(folder / WEIGHTS),
        "weights_report": _counts(member.report) if member.report else None,
    })  # fmt: skip
    (folder / CHECKPOINT).unlink(missing_ok=True)


def _counts(report: LoadReport) -> dict[str, Any]:
    """How many tensors of the weights file went where."""
    names = ("loaded", "adapted", "missing", "unexpected")
    return {**{name: len(getattr(report, name)) for name in names}, "share": round(report.share, 6)}
