"""Optimiser and learning-rate schedule of a member, from its spec."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import torch
from torch import nn

from backbones.timm_parts import create_scheduler
from ensemble.spec import OptimizerSpec, ScheduleSpec

__all__ = ["make_optimizer", "make_schedule"]


def make_optimizer(model: nn.Module, spec: OptimizerSpec) -> torch.optim.Optimizer:
    """Build the optimiser over the parameters that are not frozen.

    Biases and normalisation layers are not decayed. Parameters below `backbone.` learn at `backbone_lr`.
    """
    groups = [
        {"params": parameters, "lr": rate, "weight_decay": decay}
        for (rate, decay), parameters in _grouped(model.named_parameters(), spec).items()
    ]
    match spec.kind:
        case "sgd":
            nesterov = spec.nesterov and spec.momentum > 0
            return torch.optim.SGD(groups, lr=spec.lr, momentum=spec.momentum, nesterov=nesterov)
        case "adam":
            return torch.optim.Adam(groups, lr=spec.lr)
        case "adamw":
            return torch.optim.AdamW(groups, lr=spec.lr)
        case "rmsprop":
            return torch.optim.RMSprop(groups, lr=spec.lr, momentum=spec.momentum)


def _grouped(
    parameters: Iterable[tuple[str, nn.Parameter]], spec: OptimizerSpec
) -> dict[tuple[float, float], list[nn.Parameter]]:
    groups: dict[tuple[float, float], list[nn.Parameter]] = {}
    for name, parameter in parameters:
        if not parameter.requires_grad:
            continue
        rate = spec.backbone_lr if spec.backbone_lr and name.startswith("backbone.") else spec.lr
        decay = spec.weight_decay if parameter.ndim > 1 else 0.0
        groups.setdefault((rate, decay), []).append(parameter)
    return groups


def make_schedule(
    optimizer: torch.optim.Optimizer, spec: ScheduleSpec, *, peak: float, epochs: int, steps_per_epoch: int
) -> Any:
    """Build the timm scheduler, stepped once per update by `step_update(updates_done)`."""
    return create_scheduler(
        optimizer,
        kind="poly" if spec.kind == "linear" else spec.kind,
        epochs=epochs,
        steps_per_epoch=steps_per_epoch,
        warmup_epochs=spec.warmup_epochs,
        warmup_lr=spec.warmup_lr * peak,
        min_lr=spec.min_lr * peak,
        decay_epochs=spec.decay_epochs,
        decay_rate=spec.decay_rate,
    )
