"""Freezing: the first stages of a pretrained backbone keep their weights while the rest is trained.

Owns what frozen means: no gradient, and eval mode, so that neither batch-norm statistics nor dropout move. A stage
counts as frozen when none of its parameters asks for a gradient; nothing else is remembered.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping

from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm

from backbones.contract import Backbone
from backbones.errors import InputError, nearest

__all__ = ["freeze_all", "freeze_until", "frozen_stages", "release", "rest_batch_norm", "rest_frozen", "trained_stages"]


def freeze_until(backbone: Backbone, stage: str) -> None:
    """Freeze the named stage and all before it.

    Args:
        backbone: Its `stages()` give the order.
        stage: The last stage to freeze.

    Raises:
        InputError: The backbone has no such stage (a head on the map leaves it without its feature layers).
    """
    stages = backbone.stages()
    if stage not in stages:
        raise InputError(
            f"Expected `freeze.until` to be a stage of {type(backbone).__name__}, but got {stage!r}. "
            f"{nearest(stage, stages)}"
        )
    for name, part in stages.items():
        part.requires_grad_(False)
        if name == stage:
            break
    rest_frozen(backbone)


def freeze_all(backbone: Backbone) -> None:
    """Freeze every stage: only the head is trained."""
    backbone.requires_grad_(False)
    rest_frozen(backbone)


def frozen_stages(backbone: Backbone) -> list[str]:
    """Names of the frozen stages, in order."""
    return [name for name, part in backbone.stages().items() if _is_frozen(part)]


def trained_stages(backbone: Backbone) -> dict[str, list[nn.Parameter]]:
    """The parameters that learn, by stage and in order; stages without any are left out."""
    stages = {
        name: [parameter for parameter in part.parameters() if parameter.requires_grad]
        for name, part in backbone.stages().items()
    }
    return {name: parameters for name, parameters in stages.items() if parameters}


def release(stages: Mapping[str, Collection[nn.Parameter]], count: int) -> None:
    """Let the last `count` stages learn, and keep the others from it.

    Args:
        stages: What may learn at all, as `trained_stages` found it.
        count: How many stages, from the last; 0 leaves the head alone.
    """
    for depth, parameters in enumerate(reversed(list(stages.values()))):
        for parameter in parameters:
            parameter.requires_grad_(depth < count)


def rest_frozen(backbone: Backbone) -> None:
    """Put the frozen stages in eval mode; if all are frozen, the backbone as a whole, dropout between them included."""
    if _is_frozen(backbone):
        backbone.eval()
        return
    for part in backbone.stages().values():
        if _is_frozen(part):
            part.eval()


def rest_batch_norm(backbone: Backbone) -> None:
    """Put every batch normalisation in eval mode: its mean and variance stay, its scale and shift may learn."""
    for layer in backbone.modules():
        if isinstance(layer, _BatchNorm):
            layer.eval()


def _is_frozen(part: nn.Module) -> bool:
    return not any(parameter.requires_grad for parameter in part.parameters())
