"""Reads a component's YAML parameters from its source file, without importing it.

Importing a component imports torch, which takes seconds; a mistake in a YAML file should be told at once. So the
keyword-only parameters of the registered class are read from the syntax tree. Annotations are resolved structurally,
from a closed vocabulary: builtins, `Literal`, unions, and the names of `backbones.parameter`. Nothing is evaluated.
"""

from __future__ import annotations

import ast
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import backbones.parameter

__all__ = ["REQUIRED", "Parameter", "read_signature", "registered_class"]


class _Required:
    def __repr__(self) -> str:
        return "required"


REQUIRED: Any = _Required()
"""Stands for "no default"."""

_BUILTINS: Mapping[str, Any] = {
    "int": int, "float": float, "bool": bool, "str": str, "list": list, "tuple": tuple, "dict": dict, "Any": Any,
}  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class Parameter:
    """A keyword-only constructor parameter.

    Attributes:
        annotation: Its type, usable by pydantic.
        default: Its default, or `REQUIRED`.
        text: The annotation as written, for listings.
    """

    annotation: Any
    default: Any
    text: str


def read_signature(file: Path, name: str) -> tuple[str, dict[str, Parameter]]:
    """Read summary and keyword-only parameters of the class that `file` registers as `name`.

    Args:
        file: A module with a class decorated `@REGISTRY.register("name")`.
        name: The registry key.

    Returns:
        The first docstring line and the parameters by name, in order.

    Raises:
        ValueError: No class in the file is registered under that name, or an annotation is outside the vocabulary.
    """
    node = registered_class(ast.parse(file.read_text(encoding="utf-8"), filename=str(file)), name)
    if node is None:
        raise ValueError(f"Expected a class registered as {name!r} in {file}, but found none.")
    return (ast.get_docstring(node) or "").partition("\n")[0], _parameters(node)


def registered_class(tree: ast.Module, name: str) -> ast.ClassDef | None:
    """The class of a module that is registered as `name`."""
    classes = (node for node in tree.body if isinstance(node, ast.ClassDef))
    return next((cls for cls in classes if any(_registers(d, name) for d in cls.decorator_list)), None)


def _registers(decorator: ast.expr, name: str) -> bool:
    return (
        isinstance(decorator, ast.Call)
        and isinstance(decorator.func, ast.Attribute)
        and decorator.func.attr == "register"
        and bool(decorator.args)
        and isinstance(decorator.args[0], ast.Constant)
        and decorator.args[0].value == name
    )


def _parameters(cls: ast.ClassDef) -> dict[str, Parameter]:
    for node in cls.body:
        if isinstance(node, ast.FunctionDef) and node.name == "__init__":
            pairs = zip(node.args.kwonlyargs, node.args.kw_defaults, strict=True)
            return {arg.arg: _parameter(arg, default) for arg, default in pairs}
    return {}


def _parameter(arg: ast.arg, default: ast.expr | None) -> Parameter:
    if arg.annotation is None:
        raise ValueError(f"Expected the parameter `{arg.arg}` to have an annotation, but it has none.")
    value = REQUIRED if default is None else ast.literal_eval(default)
    return Parameter(annotation=_resolve(arg.annotation), default=value, text=ast.unparse(arg.annotation))


def _resolve(node: ast.expr) -> Any:
    match node:
        case ast.Constant(value=None):
            return None
        case ast.Name(id=name) if name in _BUILTINS:
            return _BUILTINS[name]
        case ast.Name(id=name) if name in backbones.parameter.__all__:
            return getattr(backbones.parameter, name)
        case ast.BinOp(left=left, op=ast.BitOr(), right=right):
            return _resolve(left) | _resolve(right)
        case ast.Subscript(value=ast.Name(id="Literal"), slice=choices):
            return Literal[ast.literal_eval(choices)]
        case ast.Subscript(value=value, slice=ast.Tuple(elts=elements)):
            return _resolve(value)[tuple(_resolve(e) for e in elements)]
        case ast.Subscript(value=value, slice=element):
            return _resolve(value)[_resolve(element)]
    raise ValueError(
        f"Expected an annotation made of builtins or `backbones.parameter`, but got `{ast.unparse(node)}`."
    )
