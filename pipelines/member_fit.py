"""Trains one member, or resumes it, or finds that it is finished already."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import nn

from backbones.network import Network
from backbones.registry import LOSSES
from ensemble.canonical import digest_of
from ensemble.faces import Faces
from ensemble.metric import accuracy, nll
from ensemble.spec import MemberSpec
from pipelines.atomic import write_checked_json, write_json
from pipelines.augmentation import Augmentation, batched_chain
from pipelines.batches import FaceBatches, FeatureBatches
from pipelines.bundle import HISTORY, SPEC, WEIGHTS
from pipelines.checkpoint import save_tensors
from pipelines.checkpoint_place import CHECKPOINT, remove_checkpoints
from pipelines.device import describe_device, resolve_precision
from pipelines.estimators import ESTIMATORS
from pipelines.feature_cache import cached_features
from pipelines.fingerprint import digest_file
from pipelines.fit_data import FitData
from pipelines.forward import forward_all, softmax
from pipelines.machine import machine_facts
from pipelines.member import Member
from pipelines.member_notes import training_note
from pipelines.progress import Progress
from pipelines.teacher import taught_targets
from pipelines.trainer import Trainer, Watcher
from pipelines.unfreezing import Lesson, Unfreezing
from pipelines.weights_report import report_facts

__all__ = ["fit_member", "member_fingerprint"]


def member_fingerprint(spec: MemberSpec, data: FitData) -> str:
    """The resume key of a member on this data.

    Chains that run on whole batches draw otherwise than the same chains did face by face: such a member has a key of
    its own.
    """
    key = spec.fingerprint(data.digest)
    if spec.frozen_backbone or batched_chain(spec.augment) is None:
        return key
    return digest_of({"member": key, "augmentation": "batched 4"})


def fit_member(
    member: Member,
    data: FitData,
    *,
    folder: Path,
    cache: Path,
    watcher: Watcher,
    advance: Callable[[str, int, int], None] | None = None,
) -> Progress:
    """Train a member to the end and write its folder; a checkpoint there is continued.

    Args:
        member: The untrained member, pretrained weights loaded.
        data: Training and validation faces.
        folder: Where it goes.
        cache: Folder for frozen features and answers of teachers.
        watcher: Told after batches and epochs.
        advance: Told (what, rows done, rows in all) while these are computed.

    Raises:
        InputError: The loss is no longer a number, or the teacher has changed.
    """
    fingerprint, started = member_fingerprint(member.spec, data), time.monotonic()
    member.input_layer.fit(data.train.images)
    if member.network.head.estimator is not None:
        progress = _fit_at_once(member, data, fingerprint, cache, advance)
        _write(member, progress, folder)
        return progress
    frozen = member.spec.frozen_backbone
    lesson = (_from_features if frozen else _from_faces)(member, data, cache, advance)
    counts = torch.from_numpy(data.train.class_counts)
    loss = LOSSES.build(member.spec.loss.kind, counts, **member.spec.loss.parameters).to(member.device)
    trainer = Trainer(
        model=lesson.part, lesson=lesson, loss=loss, spec=member.spec, fingerprint=fingerprint, device=member.device,
        checkpoint=folder / CHECKPOINT, watcher=watcher, unfreezing=_unfreezing(member, data, cache, advance),
    )  # fmt: skip
    prepared = time.monotonic() - started
    progress = trainer.run()
    progress.seconds += prepared
    note = training_note(progress.history)
    if note is not None:
        watcher.note(note)
    _write(member, progress, folder)
    return progress


def _scored(probs: npt.NDArray[np.float64], labels: npt.NDArray[np.int64]) -> tuple[float, float]:
    return nll(probs, labels), accuracy(probs, labels)


def _telling(advance: Any, what: str) -> Callable[[int, int], None] | None:
    return partial(advance, what) if advance else None


def _targets(member: Member, data: FitData, cache: Path, advance: Any) -> npt.NDArray[np.float32]:
    """(N, K) what the member is to say of its training faces."""
    told = _telling(advance, "teacher's answers")
    return taught_targets(member.spec, data.train, cache=cache, device=member.device, advance=told)


def _features(member: Member, faces: Faces, mirrored: bool, cache: Path, advance: Any) -> npt.NDArray[np.float32]:
    """(V, N, F) what the frozen backbone says of faces."""
    return cached_features(member, faces, mirrored=mirrored, cache=cache, advance=_telling(advance, "features"))


def _from_faces(member: Member, data: FitData, cache: Path, advance: Any) -> Lesson:
    """Train the network on augmented faces."""
    spec = member.spec
    batches = FaceBatches(
        data.train.images, _targets(member, data, cache, advance),
        augmentation=Augmentation(spec.augment), batch_size=spec.batch_size, seed=spec.seed,
        device=member.device,
    )  # fmt: skip

    def validate(model: nn.Module) -> tuple[float, float]:
        images = data.validation.images
        logits = forward_all(model, images, device=member.device, prepare=member.input_layer)
        return _scored(softmax(logits), data.validation.labels)

    prepare = member.input_layer.random_window
    return Lesson(part=member.network, prepare=prepare, batches=batches, validate=validate)


def _from_features(member: Member, data: FitData, cache: Path, advance: Any) -> Lesson:
    """Train the head on cached features of the frozen backbone."""
    spec = member.spec
    mirrored = spec.augment == "flip"
    train = _features(member, data.whole or data.train, mirrored, cache, advance)
    validation = _features(member, data.validation, False, cache, advance)[0]
    targets = _targets(member, data, cache, advance)
    batches = FeatureBatches(train, targets, batch_size=spec.batch_size, seed=spec.seed, places=data.places)

    def validate(model: nn.Module) -> tuple[float, float]:
        head = model.head if isinstance(model, Network) else model  # or an average of it
        return _scored(softmax(forward_all(head, validation, device=member.device)), data.validation.labels)

    return Lesson(part=member.network.head, prepare=nn.Identity(), batches=batches, validate=validate)


def _unfreezing(member: Member, data: FitData, cache: Path, advance: Any) -> Unfreezing | None:
    """What learns when; where faces look the same in every epoch, the epochs of the head alone run on cached features.

    Until the first of its stages learns, the backbone is the one that a frozen member has, and so is the cache.
    """
    spec = member.spec
    if spec.unfreeze is None:
        return None
    same = spec.augment in ("none", "flip") and spec.input.crop in (None, spec.input.size)
    features = partial(_from_features, member, data, cache, advance)
    return Unfreezing(member.network, spec.unfreeze, head_lesson=features if same else None)


def _fit_at_once(member: Member, data: FitData, fingerprint: str, cache: Path, advance: Any) -> Progress:
    """Let an estimator fit the head on cached features; the history has one entry."""
    started, head, mirrored = time.monotonic(), member.network.head, member.spec.augment == "flip"
    train = _features(member, data.whole or data.train, mirrored, cache, advance)
    train = train if data.places is None else train[:, data.places]  # (V, N, F)
    validation = _features(member, data.validation, False, cache, advance)[0]
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
    save_tensors(folder / WEIGHTS, member.network.state_dict(), {"classes": json.dumps(member.classes)})
    write_json(folder / HISTORY, progress.history)
    best = progress.history[progress.best_epoch - 1]
    write_checked_json(folder / SPEC, {
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
        "environment": machine_facts(),
        "weights_sha256": digest_file(folder / WEIGHTS),
        "history_sha256": digest_file(folder / HISTORY),
        "weights_report": report_facts(member.report) if member.report else None,
    })  # fmt: skip
    remove_checkpoints(folder)
