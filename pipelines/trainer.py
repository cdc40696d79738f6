"""The training loop: epochs, checkpoints, the best epoch, and exact resume."""

from __future__ import annotations

import math
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from backbones.contract import Loss
from backbones.errors import InputError
from backbones.timm_parts import create_ema
from ensemble.spec import MemberSpec
from pipelines.checkpoint import load_checkpoint, restore_optimizer, save_checkpoint
from pipelines.device import autocast, resolve_precision
from pipelines.growth import Growth
from pipelines.mixing import Mixing
from pipelines.optimization import make_optimizer, make_schedule
from pipelines.progress import Progress
from pipelines.seed import derived_seed
from pipelines.unfreezing import Lesson, Unfreezing

__all__ = ["DivergedError", "Trainer", "Watcher"]


class DivergedError(InputError):
    """The loss is no longer a finite number: these settings do not train."""


class Watcher:
    """Is told what the loop does; a progress display or a tracker overrides what it needs."""

    def start(self, progress: Progress) -> None:
        """Training starts, or goes on after so many epochs."""

    def note(self, line: str) -> None:
        """Something that the user should know, such as a damaged checkpoint."""

    def batch(self, done: int, total: int) -> None:
        """A batch of the running epoch is done."""

    def epoch(self, progress: Progress) -> None:
        """An epoch is done and its checkpoint is on disk."""


@dataclass(kw_only=True)
class Trainer:
    """Trains a model on batches and keeps its best epoch.

    Killed at any moment and run again on the same checkpoint file, it ends with the same weights, bit for bit, as a
    run that was never interrupted (on one machine, on CPU).

    Attributes:
        model: What is trained; its frozen parameters do not require gradients.
        lesson: What an epoch runs, and on what.
        loss: Of logits and target distributions.
        spec: Optimiser, schedule, epochs, selection.
        fingerprint: Of the member, the resume key.
        device: Where the model lies.
        checkpoint: The checkpoint file.
        watcher: Told after batches and epochs.
        unfreezing: Decides anew in every epoch what learns; None lets the same parameters learn in all of them.
    """

    model: nn.Module
    lesson: Lesson
    loss: Loss
    spec: MemberSpec
    fingerprint: str
    device: torch.device
    checkpoint: Path
    watcher: Watcher
    unfreezing: Unfreezing | None = None

    def run(self) -> Progress:
        """Train to the end and leave the best epoch's weights in the model.

        Raises:
            DivergedError: The loss is no longer a finite number.
        """
        self._start()
        self.watcher.start(self.progress)
        while self.progress.epoch < self.spec.epochs and not self._out_of_patience():
            started = time.monotonic()
            lesson = self._begin_epoch()
            train_loss = self._train_epoch(lesson)
            self._close_epoch(lesson, train_loss, started)
        self.model.load_state_dict(self.best)
        return self.progress

    def _start(self) -> None:
        spec = self.spec
        self.precision = resolve_precision(spec.precision, self.device)
        self.optimizer = make_optimizer(self.model, spec.optimizer, staged=self.unfreezing is not None)
        self.schedule = make_schedule(
            self.optimizer,
            spec.schedule,
            peak=spec.optimizer.lr,
            epochs=spec.epochs,
            steps_per_epoch=len(self.lesson.batches),
        )
        self.average = create_ema(self.model, spec.ema) if spec.ema else None
        self.mixing = Mixing(spec.mix, seed=spec.seed, epochs=spec.epochs) if spec.mix else None
        self.growth = Growth(spec.grow, epochs=spec.epochs) if spec.grow else None
        self.progress, self.best = Progress(self.fingerprint), _copy(self.model.state_dict())
        stored = load_checkpoint(self.checkpoint, self.fingerprint)
        if stored.note:
            self.watcher.note(stored.note)
        if stored.progress is not None:
            self._resume(stored.progress, stored.states)

    def _resume(self, progress: Progress, states: dict[str, dict[str, Tensor]]) -> None:
        self.model.load_state_dict(states["model"])
        if self.average is not None:
            self.average.module.load_state_dict(states["average"])
        restore_optimizer(self.optimizer, states.get("optimizer", {}))
        self.progress, self.best = progress, states["best"]
        self.schedule.step_update(progress.updates)

    def _begin_epoch(self) -> Lesson:
        """What the next epoch runs; from now on only what learns in it requires gradients."""
        own = self.unfreezing.begin(self.progress.epoch) if self.unfreezing is not None else None
        return own or self.lesson

    def _train_epoch(self, lesson: Lesson) -> float:
        """One pass over the training faces; returns the mean loss."""
        epoch = self.progress.epoch
        torch.manual_seed(derived_seed(self.spec.seed, "train", epoch))
        self.model.train()
        for change in (self.growth, self.mixing):
            if change is not None:
                change.begin(epoch)
        total, steps = torch.zeros((), device=self.device), len(lesson.batches)
        for step, (inputs, targets) in enumerate(lesson.batches.epoch(epoch)):
            value = self._update(lesson, inputs, targets)
            total += value
            # Asking a GPU for a value stalls it, so it is asked now and then.
            if (self.device.type == "cpu" or step % 50 == 0) and not math.isfinite(value.item()):
                self._refuse_loss(value.item(), epoch, step)
            self.watcher.batch(step + 1, steps)
        mean = total.item() / steps
        if not math.isfinite(mean):
            self._refuse_loss(mean, epoch, steps)
        return mean

    def _update(self, lesson: Lesson, inputs: Tensor, targets: Tensor) -> Tensor:
        with torch.no_grad():
            x, targets = lesson.prepare(inputs.to(self.device, non_blocking=True)), targets.to(self.device)
            if self.growth is not None and x.ndim == 4:
                x = self.growth(x)
            if self.mixing is not None and x.ndim == 4:  # features of a face that is not mixed are no mixture
                x, targets = self.mixing(x, targets)
        if x.ndim == 4:
            x = x.contiguous(memory_format=torch.channels_last)
        with autocast(self.precision, self.device):
            logits = lesson.part(x)
        value: Tensor = self.loss(logits.float(), targets)
        self.optimizer.zero_grad(set_to_none=True)
        value.backward()  # type: ignore[no-untyped-call]
        if self.spec.clip is not None:
            torch.nn.utils.clip_grad_norm_(self.model.parameters(), self.spec.clip)
        self.optimizer.step()
        self.progress.updates += 1
        self.schedule.step_update(self.progress.updates)
        if self.average is not None:
            self.average.update(self.model, step=self.progress.updates)
        return value.detach()

    def _close_epoch(self, lesson: Lesson, train_loss: float, started: float) -> None:
        evaluated: nn.Module = self.model if self.average is None else self.average.module
        rate = max(group["lr"] for group in self.optimizer.param_groups)
        nll, accuracy = lesson.validate(evaluated)
        if not math.isfinite(nll):
            self._refuse_loss(nll, self.progress.epoch, len(lesson.batches))
        progress = self.progress
        progress.epoch += 1
        value = {"nll": -nll, "accuracy": accuracy, "last": float(progress.epoch)}[self.spec.select]
        if value > progress.best_value:
            progress.best_epoch, progress.best_value = progress.epoch, value
            self.best = _copy(evaluated.state_dict())
        seconds = time.monotonic() - started
        progress.seconds += seconds
        progress.history.append({
            "epoch": progress.epoch, "train_loss": train_loss, "validation_nll": nll,
            "validation_accuracy": accuracy, "lr": rate, "seconds": round(seconds, 3),
        })  # fmt: skip
        states = {"model": self.model.state_dict(), "best": self.best}
        if self.average is not None:
            states["average"] = self.average.module.state_dict()
        save_checkpoint(self.checkpoint, progress, states, self.optimizer)
        self.watcher.epoch(progress)

    def _out_of_patience(self) -> bool:
        """Whether it is no use to go on; as long as stages are still to be unfrozen it is."""
        patience, settled = self.spec.patience, self.unfreezing.settled if self.unfreezing is not None else 0
        return patience is not None and self.progress.epoch - max(self.progress.best_epoch, settled) >= patience

    def _refuse_loss(self, value: float, epoch: int, step: int) -> None:
        raise DivergedError(
            f"Expected a finite training loss of member `{self.spec.name}`, but got {value} in epoch {epoch + 1}, "
            f"batch {step + 1}. Lower `optimizer.lr` (now {self.spec.optimizer.lr:g}) or set `clip: 1.0`; "
            f"what was finished before is kept."
        )


def _copy(state: dict[str, Any]) -> dict[str, Tensor]:
    return {name: tensor.detach().clone() for name, tensor in state.items()}
