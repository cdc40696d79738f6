"""Checks raw YAML content against a spec model and says everything that is wrong with it, in the house grammar."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from backbones.errors import Problem
from ensemble.binding import problems_of
from ensemble.weights_spec import WeightsSpec

__all__ = ["check_spec", "merged"]

M = TypeVar("M", bound=BaseModel)


def check_spec(model: type[M], content: Any, where: str) -> tuple[M | None, list[Problem]]:
    """Build a spec from YAML content.

    Args:
        model: The pydantic model.
        content: What stands in the YAML.
        where: Its place, e.g. `members[3]`.

    Returns:
        The spec and no problems, or None and every problem with its place.
    """
    try:
        return model.model_validate(content), []
    except ValidationError as error:
        return None, problems_of(error, content, where, choices=lambda location: _fields(model, location))


def merged(defaults: Mapping[str, Any], own: Mapping[str, Any]) -> dict[str, Any]:
    """A member's own settings over the defaults, nested mappings field by field.

    A component of another kind than the default's, or weights from elsewhere, replace it: its details would not fit.

    Example:
        >>> merged({"input": {"size": 48, "channels": 1}, "epochs": 6}, {"input": {"size": 112}})
        {'input': {'size': 112, 'channels': 1}, 'epochs': 6}
        >>> merged({"head": {"kind": "mlp", "hidden": [512]}}, {"head": {"kind": "linear"}})
        {'head': {'kind': 'linear'}}
        >>> merged({"optimizer": {"lr": 0.05}}, {"optimizer": {"kind": "sgd"}})
        {'optimizer': {'lr': 0.05, 'kind': 'sgd'}}
    """
    result = _merged_fields(defaults, own)
    if "weights" in own and "weights" in defaults:
        result["weights"] = WeightsSpec.over(defaults["weights"], own["weights"])
    return result


def _merged_fields(defaults: Mapping[str, Any], own: Mapping[str, Any]) -> dict[str, Any]:
    result = dict(defaults)
    for key, value in own.items():
        base = result.get(key)
        same_kind = (
            isinstance(base, Mapping)
            and isinstance(value, Mapping)
            and ("kind" not in base or value.get("kind", base["kind"]) == base["kind"])
        )
        result[key] = _merged_fields(base, value) if same_kind else value  # type: ignore[arg-type]
    return result


def _fields(model: type[BaseModel], path: Sequence[Any]) -> list[str]:
    """Field names of the (nested) model at that path."""
    for part in path:
        field = model.model_fields.get(part) if isinstance(part, str) else None
        inner = _inner_model(field.annotation) if field else None
        if inner is not None:
            model = inner
    return list(model.model_fields)


def _inner_model(annotation: Any) -> type[BaseModel] | None:
    for option in (annotation, *getattr(annotation, "__args__", ())):
        if isinstance(option, type) and issubclass(option, BaseModel):
            return option
    return None
