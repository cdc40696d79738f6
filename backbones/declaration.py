"""Reads what a backbone declares of its stages and its input from its source, without importing it.

Importing a backbone imports torch, which takes seconds; a listing of what there is should not. So stages are told as
the docstring of `stages` tells them, and the input as the constants of the class do, inherited ones included.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from backbones.signature import registered_class

__all__ = ["Declaration", "read_declaration"]

_ROOT = Path(__file__).resolve().parent
_CONSTANTS = {"minimum_size", "allowed_channels", "native"}


@dataclass(frozen=True, kw_only=True)
class Declaration:
    """What a backbone declares.

    Attributes:
        stages: In words, in order; `freeze.until` names one of them.
        minimum_size: Smallest side of the input, in pixels.
        allowed_channels: Input channels it can be built for.
        native: Fields of its `NativeInput`, what public weights were trained on; empty for a network without.
    """

    stages: str = ""
    minimum_size: int = 1
    allowed_channels: tuple[int, ...] = (1, 3)
    native: Mapping[str, Any] = field(default_factory=dict)

    @property
    def input(self) -> str:
        """The input in words.

        Example:
            >>> read_declaration("mobile_facenet").input
            "any from 16×16; weights: RGB 112×112 aligned to `arcface`, ImageNet's mean and deviation"
        """
        colours = "" if len(self.allowed_channels) > 1 else "RGB " if self.allowed_channels[0] == 3 else "grey "
        able = f"{colours or 'any '}from {self.minimum_size}×{self.minimum_size}" if self.minimum_size > 1 else "any"
        if not self.native:
            return able
        size = self.native.get("size")
        parts = ["RGB" if self.native["channels"] == 3 else "grey", f"{size}×{size}" if size else ""]
        parts.append(f"aligned to `{self.native['template']}`" if self.native.get("template") else "")
        return f"{able}; weights: {' '.join(filter(None, parts))}, {self.native['pixels']}"


def read_declaration(name: str) -> Declaration:
    """Read what the backbone registered as `name` declares.

    Args:
        name: Registry key, equal to the module's file name.

    Example:
        >>> read_declaration("light_cnn").stages
        '`conv1` to `conv5`, each with its 1×1 convolution, then `fc1`.'
    """
    tree = ast.parse((_ROOT / "net" / f"{name}.py").read_text(encoding="utf-8"))
    found: dict[str, Any] = {}
    for cls in _line(tree, registered_class(tree, name)):
        found = {**_declared(cls), **found}  # what stands nearer to the class comes first
    return Declaration(**found)


def _line(tree: ast.Module, cls: ast.ClassDef | None) -> Iterator[ast.ClassDef]:
    """The class and its ancestors within `backbones.net`, nearest first."""
    if cls is None:
        return
    yield cls
    for base in cls.bases:
        module = _origin(tree, base.id) if isinstance(base, ast.Name) else ""
        if module.startswith("backbones.net."):
            file = _ROOT.parent / Path(*module.split(".")).with_suffix(".py")
            parent = ast.parse(file.read_text(encoding="utf-8"))
            yield from _line(parent, registered_class(parent, file.stem))


def _origin(tree: ast.Module, name: str) -> str:
    """The module that a name is imported from."""
    imports = (node for node in tree.body if isinstance(node, ast.ImportFrom))
    return next((str(node.module) for node in imports if any(a.name == name for a in node.names)), "")


def _declared(cls: ast.ClassDef) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for node in cls.body:
        if isinstance(node, ast.FunctionDef) and node.name == "stages":
            found["stages"] = " ".join((ast.get_docstring(node) or "").partition("\n\n")[0].split())
        target = node.target if isinstance(node, ast.AnnAssign) else _target(node)
        value = node.value if isinstance(node, ast.AnnAssign | ast.Assign) else None
        if value is not None and isinstance(target, ast.Name) and target.id in _CONSTANTS:
            found[target.id] = _constant(value)
    return found


def _target(node: ast.stmt) -> ast.expr | None:
    return node.targets[0] if isinstance(node, ast.Assign) else None


def _constant(value: ast.expr) -> Any:
    """A literal, or the keywords of a call with literal ones."""
    if isinstance(value, ast.Call):
        return {str(keyword.arg): ast.literal_eval(keyword.value) for keyword in value.keywords}
    return ast.literal_eval(value)
