"""What the `stages` of every backbone have in common: a stage without parameters is no stage."""

from __future__ import annotations

from collections.abc import Mapping

from torch import nn

__all__ = ["has_parameters", "with_parameters"]


def has_parameters(module: nn.Module) -> bool:
    """Whether there is at least one parameter in the module or below it."""
    return next(module.parameters(), None) is not None


def with_parameters(parts: Mapping[str, nn.Module]) -> dict[str, nn.Module]:
    """The parts that hold parameters, in order: a discarded layer, replaced by the identity, drops out."""
    return {name: part for name, part in parts.items() if has_parameters(part)}
