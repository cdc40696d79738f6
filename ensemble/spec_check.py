"""Checks raw YAML content against a spec model and says everything that is wrong with it, in the house grammar."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from backbones.errors import Problem, nearest

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
        return None, [_problem(model, detail, where) for detail in error.errors(include_url=False)]


def merged(defaults: Mapping[str, Any], own: Mapping[str, Any]) -> dict[str, Any]:
    """A member's own settings over the defaults, nested mappings field by field.

    A component of another kind replaces the default one, since its parameters would not fit.

    Example:
        >>> merged({"input": {"size": 48, "channels": 1}, "epochs": 6}, {"input": {"size": 112}})
        {'input': {'size': 112, 'channels': 1}, 'epochs': 6}
        >>> merged({"head": {"kind": "mlp", "hidden": [512]}}, {"head": {"kind": "linear"}})
        {'head': {'kind': 'linear'}}
    """
    result = dict(defaults)
    for key, value in own.items():
        base = result.get(key)
        same_kind = (
            isinstance(base, Mapping)
            and isinstance(value, Mapping)
            and value.get("kind", base.get("kind")) == base.get("kind")
        )
        result[key] = merged(base, value) if same_kind else value  # type: ignore[arg-type]
    return result


def _problem(model: type[BaseModel], detail: Any, where: str) -> Problem:
    location: Sequence[Any] = detail["loc"]
    place = where
    for part in location:
        if isinstance(part, int):
            place += f"[{part}]"
        elif not _is_branch(part):
            place += f".{part}" if place else str(part)
    got = detail.get("input")
    match detail["type"]:
        case "extra_forbidden":
            fields = _fields(model, location[:-1])
            message = f"Expected no field of that name. {nearest(str(location[-1]), fields)}"
        case "missing":
            message = "Expected a value, but the field is missing."
        case "literal_error":
            choices = detail["ctx"]["expected"].replace(" or ", ", ").replace("'", "").split(", ")
            message = f"Expected one of {', '.join(choices)}, but got {got!r}. {nearest(str(got), choices)}"
        case "model_type" | "model_attributes_type" | "dict_type":
            message = f"Expected a mapping, but got {got!r}."
        case _:
            message = f"Expected {_lower(detail['msg'])}, but got {got!r}."
    return Problem.at(place, message)


def _is_branch(part: str) -> bool:
    """Whether pydantic put the name of a union's branch into the place."""
    return part in {"str", "ComponentSpec"} or part.startswith(("tuple[", "function-", "list["))


def _lower(message: str) -> str:
    for start in ("Input should be ", "Input should ", "Value error, "):
        message = message.removeprefix(start)
    return message[:1].lower() + message[1:]


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
