"""Registries: a name in YAML becomes a class, without dotted paths and without importing what is not used.

A registry owns one package. The file name of a module is the name it registers, so listing names needs no import, and
a component's parameters are read from its source (`signature`), so that a wrong YAML is refused before torch is loaded.
"""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Generic, TypeVar

from backbones.errors import InputError, nearest
from backbones.signature import Parameter, read_signature

__all__ = ["BACKBONES", "HEADS", "LOSSES", "Component", "Registry"]

T = TypeVar("T")


@dataclass(frozen=True, kw_only=True)
class Component:
    """What a registry knows of a component before importing it.

    Attributes:
        name: Registry key, equal to the module's file name.
        summary: First line of the class's docstring.
        parameters: The keyword-only constructor parameters, in order: these are what YAML may set. The positional ones
            (input shape, number of features, class counts) are handed over by the builder.
    """

    name: str
    summary: str
    parameters: Mapping[str, Parameter]


class Registry(Generic[T]):
    """Named components of one kind, one module each, found by themselves in one package.

    Args:
        kind: What the components are, in the singular, for messages ("head").
        package: Dotted name of the package whose modules register the components.

    Example:
        >>> HEADS.names()
        ['dal', 'linear', 'linear_svm', 'mlp']
    """

    def __init__(self, kind: str, package: str) -> None:
        self.kind = kind
        self.package = package
        self._classes: dict[str, type[T]] = {}
        self._describe = cache(self._read)

    def register(self, name: str) -> Callable[[type[T]], type[T]]:
        """Register the decorated class under `name`, which must be its module's file name.

        Raises:
            ValueError: The name is taken by another class.
        """

        def decorate(cls: type[T]) -> type[T]:
            known = self._classes.get(name)
            if known is not None and known.__qualname__ != cls.__qualname__:
                raise ValueError(f"Expected a free {self.kind} name, but `{name}` is {known.__qualname__}.")
            self._classes[name] = cls
            return cls

        return decorate

    def names(self) -> list[str]:
        """All valid names, sorted; imports none of the components."""
        package = importlib.import_module(self.package)
        modules = {m.name for m in pkgutil.iter_modules(package.__path__) if not m.name.startswith("_")}
        return sorted(modules | set(self._classes))

    def get(self, name: str) -> type[T]:
        """Import and return the class registered as `name`.

        Raises:
            InputError: No component has that name; the message holds the nearest one.
        """
        if name not in self._classes:
            self._require(name)
            importlib.import_module(f"{self.package}.{name}")
        return self._classes[name]

    def describe(self, name: str) -> Component:
        """Summary and YAML parameters of a component, read from its source without importing it.

        Raises:
            InputError: No component has that name.
        """
        return self._describe(name)

    def build(self, name: str, *given: Any, **parameters: Any) -> T:
        """Construct a component: `given` comes from the builder, `parameters` from YAML."""
        return self.get(name)(*given, **parameters)

    def _require(self, name: str) -> None:
        if name not in self.names():
            raise InputError(f"Expected a {self.kind}, but got {name!r}. {nearest(name, self.names())}")

    def _read(self, name: str) -> Component:
        self._require(name)
        package = importlib.import_module(self.package)
        for folder in package.__path__:
            file = Path(folder) / f"{name}.py"
            if file.is_file():
                summary, parameters = read_signature(file, name)
                return Component(name=name, summary=summary, parameters=parameters)
        raise InputError(
            f"Expected the {self.kind} {name!r} to be a module of `{self.package}`, but found no such file."
        )


BACKBONES: Registry[Any] = Registry("backbone", "backbones.net")
HEADS: Registry[Any] = Registry("head", "backbones.head")
LOSSES: Registry[Any] = Registry("loss", "backbones.loss")
