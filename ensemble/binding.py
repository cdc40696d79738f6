"""Binds YAML parameters to a registered component before anything is built, and reports all that is wrong at once.

The parameters a component accepts come from its source (`Registry.describe`), so a wrong YAML is refused without
importing torch. Values are checked by pydantic, as strictly as JSON would be; its messages are put into the house
grammar.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from copy import deepcopy
from functools import cache
from typing import Any, get_args

from pydantic import ConfigDict, PydanticUserError, TypeAdapter, ValidationError
from typing_extensions import is_typeddict

from backbones.errors import InputError, Problem, nearest
from backbones.registry import Registry
from backbones.signature import REQUIRED, Parameter
from ensemble.problem_place import inner_path, join_place, locate

__all__ = ["bind", "check_component", "problems_of"]

# YAML 1.1 reads a number with an exponent but without a point or a sign in it, such as 1e-4, as text.
_EXPONENT = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)[eE][+-]?\d+")

_QUOTED = re.compile(r"'([^']*)'")

Choices = Iterable[str] | Callable[[Sequence[int | str]], Iterable[str]]

_EXPECTED: Mapping[str, Callable[[Mapping[str, Any]], str]] = {
    "int_type": lambda _: "a whole number",
    "int_from_float": lambda _: "a whole number",
    "int_parsing": lambda _: "a whole number",
    "float_type": lambda _: "a number",
    "float_parsing": lambda _: "a number",
    "finite_number": lambda _: "a finite number",
    "bool_type": lambda _: "true or false",
    "string_type": lambda _: "text",
    "list_type": lambda _: "a list",
    "tuple_type": lambda _: "a list",
    "dict_type": lambda _: "a mapping",
    "model_type": lambda _: "a mapping",
    "literal_error": lambda c: f"one of {c['expected']}" if " or " in c["expected"] else c["expected"],
    "greater_than_equal": lambda c: f"at least {c['ge']:g}",
    "greater_than": lambda c: f"above {c['gt']:g}",
    "less_than_equal": lambda c: f"at most {c['le']:g}",
    "less_than": lambda c: f"below {c['lt']:g}",
    "too_short": lambda c: f"a list of at least {c['min_length']}",
    "too_long": lambda c: f"a list of at most {c['max_length']}",
    "string_too_short": lambda c: f"text of at least {c['min_length']} characters",
    "string_pattern_mismatch": lambda c: f"text that matches {c['pattern']}",
    "none_required": lambda _: "null",
}


def check_component(
    kind: str, parameters: Mapping[str, Any], registry: Registry[Any], where: str, *, key: str = "kind"
) -> list[Problem]:
    """All that is wrong with a component's name and YAML parameters; nothing is imported or built.

    Args:
        kind: The component's name in the registry.
        parameters: Its parameters as read from YAML, without the name.
        registry: Where the name should be found.
        where: Place of the component, such as `members[3].head`.
        key: The key under which the name stands there.

    Returns:
        One problem per mistake, in the order of the file; empty if there is none.
    """
    return _bind(kind, parameters, registry, where, key)[1]


def bind(
    kind: str, parameters: Mapping[str, Any], registry: Registry[Any], where: str, *, key: str = "kind"
) -> dict[str, Any]:
    """Every parameter of a component with its checked value, defaults filled in: ready for `registry.build`.

    Args:
        kind: The component's name in the registry.
        parameters: Its parameters as read from YAML, without the name.
        registry: Where the name should be found.
        where: Place of the component, for messages.
        key: The key under which the name stands there.

    Raises:
        InputError: All problems at once, one a line.
    """
    values, problems = _bind(kind, parameters, registry, where, key)
    if problems:
        raise InputError("\n".join(problems))
    return values


def problems_of(error: ValidationError, value: Any, where: str, *, choices: Choices = ()) -> list[Problem]:
    """Pydantic's errors in the house grammar, with places.

    Args:
        error: What pydantic raised.
        value: The value it was raised for.
        where: Place of the value.
        choices: Valid keys, to suggest the nearest for an unknown one; or a function that gives those of the mapping
            at a pydantic location.

    Returns:
        One problem per place: alternatives of a union are joined with "or".
    """
    found: dict[str, list[str]] = {}
    fixed: dict[str, tuple[str, str]] = {}
    for one in error.errors(include_url=False):
        place, leaf, got = locate(one["loc"], value, where)
        expected = _EXPECTED.get(one["type"])
        context = one.get("ctx", {})
        if one["type"] == "missing" and isinstance(one["loc"][-1], int):
            fixed[place] = (f"Expected `{leaf}` to be a longer list, but got {got!r}.", "")
        elif one["type"] == "missing":
            fixed[place] = (f"Expected `{leaf}`, but it is missing.", "")
        elif one["type"] == "extra_forbidden":
            fixed[place] = (
                f"Expected a known key, but got {leaf!r}.",
                nearest(leaf, choices(one["loc"][:-1]) if callable(choices) else choices),
            )
        else:
            found.setdefault(place, []).append(expected(context) if expected else f"valid ({one['msg']})")
            fixed[place] = (
                f"Expected `{leaf}` to be {' or '.join(dict.fromkeys(found[place]))}, but got {got!r}.",
                _option(one, got),
            )
    return [Problem.at(place, f"{message} {hint}".rstrip()) for place, (message, hint) in fixed.items()]


def _option(one: Any, got: Any) -> str:
    """The nearest of the options that a literal type allows, if one is near; the message lists them all."""
    if one["type"] != "literal_error" or not isinstance(got, str):
        return ""
    hint = nearest(got, _QUOTED.findall(one["ctx"]["expected"]))
    return hint if hint.startswith("Did you mean") else ""


def _bind(
    kind: str, parameters: Mapping[str, Any], registry: Registry[Any], where: str, key: str
) -> tuple[dict[str, Any], list[Problem]]:
    if not isinstance(kind, str) or kind not in registry.names():
        message = f"Expected a {registry.kind}, but got {kind!r}. {nearest(str(kind), registry.names())}"
        return {}, [Problem.at(join_place(where, key), message.rstrip())]
    known = registry.describe(kind).parameters
    problems = [
        Problem.at(
            join_place(where, str(name)), f"Expected a parameter of `{kind}`, but got {name!r}. {_hint(name, known)}"
        )
        for name in parameters
        if name not in known
    ]
    values: dict[str, Any] = {}
    for name, parameter in known.items():
        place = join_place(where, name)
        if name in parameters:
            values[name], wrong = _check(parameters[name], parameter, place)
            problems += wrong
        elif parameter.default is REQUIRED:
            problems.append(
                Problem.at(place, f"Expected the parameter `{name}` ({parameter.text}), but it is missing.")
            )
        else:
            values[name] = deepcopy(parameter.default)
    return values, problems


def _hint(name: Any, known: Mapping[str, Parameter]) -> str:
    return nearest(str(name), known) or "It has none."


def _check(value: Any, parameter: Parameter, place: str) -> tuple[Any, list[Problem]]:
    """The value as the parameter's type, and what is wrong with it."""
    try:
        plain = json.loads(json.dumps(value))
    except (TypeError, ValueError):
        return None, [
            Problem.at(place, f"Expected `{place.rpartition('.')[2]}` to be {parameter.text}, but got {value!r}.")
        ]
    adapter = _adapter(parameter.annotation)
    try:
        return _validate(adapter, plain), []
    except ValidationError as error:
        plain = _read_exponents(error, plain)
    try:
        return _validate(adapter, plain), []
    except ValidationError as error:
        return None, problems_of(error, plain, place, choices=_keys(parameter.annotation))


def _validate(adapter: TypeAdapter[Any], plain: Any) -> Any:
    # JSON mode: a list may become a tuple and a whole number a float, yet text and booleans are never numbers.
    return adapter.validate_json(json.dumps(plain), strict=True)


@cache
def _adapter(annotation: Any) -> TypeAdapter[Any]:
    try:
        return TypeAdapter(annotation, config=ConfigDict(allow_inf_nan=False))
    except PydanticUserError:  # a mapping type that carries its own configuration
        return TypeAdapter(annotation)


def _read_exponents(error: ValidationError, plain: Any) -> Any:
    """`plain` with numbers in the place of such texts as "1e-4" where a number was expected."""
    box = [plain]
    for one in error.errors(include_url=False):
        if one["type"] != "float_type":
            continue
        holder: Any = box
        path = [0, *inner_path(one["loc"], plain)]
        for part in path[:-1]:
            holder = holder[part]
        text = holder[path[-1]]
        if isinstance(text, str) and _EXPONENT.fullmatch(text):
            holder[path[-1]] = float(text)
    return box[0]


def _keys(annotation: Any) -> set[str]:
    """Every key of every mapping type within an annotation."""
    keys = set(getattr(annotation, "__annotations__", {})) if is_typeddict(annotation) else set()
    return keys.union(*(_keys(part) for part in get_args(annotation) if not isinstance(part, str)))
