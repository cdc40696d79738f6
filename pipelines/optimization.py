"""Optimiser and learning-rate schedule of a member, from its spec."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import nn

from backbones.network import Network
from backbones.timm_parts import create_scheduler
from ensemble.spec import OptimizerSpec, ScheduleSpec

__all__ = ["make_optimizer", "make_schedule"]


def make_optimizer(model: nn.Module, spec: OptimizerSpec, *, staged: bool = False) -> torch.optim.Optimizer:
    """Build the optimiser over the parameters that are not frozen.

    Biases and normalisation layers are not decayed. Parameters below `backbone.` learn at `backbone_lr`, or stage by
    stage at shares of it. Parameters that learn from a later epoch only are in it from the start: without a gradient
    none is touched, not even by its decay. Fused kernels pass over the parameters once and not up to ten times.

    Args:
        model: What is trained.
        spec: Optimiser and rates.
        staged: Whether parameters are to get their first gradient in a later epoch: SGD's fused kernel cannot take
            them in then.
    """
    groups = _groups(model, spec)
    match spec.kind:
        case "sgd":
            nesterov = spec.nesterov and spec.momentum > 0
            return torch.optim.SGD(groups, lr=spec.lr, momentum=spec.momentum, nesterov=nesterov, fused=not staged)
        case "adam":
            return torch.optim.Adam(groups, lr=spec.lr, fused=True)
        case "adamw":
            return torch.optim.AdamW(groups, lr=spec.lr, fused=True)
        case "rmsprop":
            return torch.optim.RMSprop(groups, lr=spec.lr, momentum=spec.momentum)


def _groups(model: nn.Module, spec: OptimizerSpec) -> list[dict[str, Any]]:
    """A rate per stage of the backbone: a share of the head's, which the schedule keeps from the first update on.

    Without `backbone_lr` and `layer_decay` all shares are 1.
    """
    depths, layer_decay = _depths(model), spec.layer_decay or 1.0
    backbone = (spec.backbone_lr or spec.lr) / spec.lr

    def share(parameter: nn.Parameter) -> float:
        depth = depths.get(id(parameter))
        return 1.0 if depth is None else backbone * layer_decay**depth

    return [
        {"params": parameters, "lr": spec.lr, "lr_scale": scale, "weight_decay": decay}
        for (scale, decay), parameters in _grouped(model, spec, share).items()
    ]


def _depths(model: nn.Module) -> dict[int, int]:
    """How many stages below the head every parameter of the backbone lies, by its id: 1 in the last stage."""
    stages = model.backbone.stages().values() if isinstance(model, Network) else ()
    return {id(p): depth for depth, part in enumerate(reversed(list(stages)), 1) for p in part.parameters()}


def _grouped(
    model: nn.Module, spec: OptimizerSpec, key: Callable[[nn.Parameter], float]
) -> dict[tuple[float, float], list[nn.Parameter]]:
    groups: dict[tuple[float, float], list[nn.Parameter]] = {}
    for parameter in model.parameters():
        if parameter.requires_grad:
            decay = spec.weight_decay if parameter.ndim > 1 else 0.0
            groups.setdefault((key(parameter), decay), []).append(parameter)
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
