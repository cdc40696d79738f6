"""Reads and writes YAML: the one module that knows the library.

Safe loading only. Duplicate keys are refused, and numbers such as `1e-4` are numbers, as everybody but YAML 1.1 thinks.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import yaml

from backbones.errors import InputError, reason_of
from backbones.limits import DEEPEST_YAML, YAML_BYTES, YAML_NODES, YAML_SCALAR
from pipelines.atomic import write_text

__all__ = ["read_yaml", "write_yaml", "yaml_text"]

_NUMBERS = 1 << 63
"""No seed, size or count is as large."""


class _Loader(yaml.SafeLoader):
    """Safe loader that refuses duplicate keys, aliases, tags, and more than a committee can need."""

    def __init__(self, stream: str) -> None:
        super().__init__(stream)
        self._nodes = self._depth = 0

    def compose_node(self, parent: Any, index: Any) -> Any:
        event = self.peek_event()  # type: ignore[no-untyped-call]
        self._nodes += 1
        self._depth += 1
        reason = self._reason(event)
        if reason:
            raise yaml.composer.ComposerError(None, None, reason, event.start_mark)
        node = super().compose_node(parent, index)
        self._depth -= 1
        return node

    def _reason(self, event: Any) -> str:
        """Why what comes next is refused, if it is."""
        if isinstance(event, yaml.AliasEvent):
            return "aliases are not supported"
        if event.tag is not None:
            return f"tags such as {event.tag!r} are not supported"
        if self._nodes > YAML_NODES or self._depth > DEEPEST_YAML:
            return f"more than {YAML_NODES:,} values, or {DEEPEST_YAML} within one another"
        return "a value is too long" if len(getattr(event, "value", "")) > YAML_SCALAR else ""

    def construct_yaml_int(self, node: Any) -> int:
        number = int(super().construct_yaml_int(node))
        if abs(number) >= _NUMBERS:
            raise yaml.constructor.ConstructorError(None, None, "a number of more than 64 bits", node.start_mark)
        return number

    def construct_mapping(self, node: Any, deep: bool = False) -> dict[Any, Any]:
        seen: set[Any] = set()
        for key_node, _ in node.value:
            key = self.construct_object(key_node, deep=True)
            if isinstance(key, str) and key in seen:
                raise yaml.constructor.ConstructorError(
                    None, None, f"the key {key!r} stands twice", key_node.start_mark
                )
            seen.add(key if isinstance(key, str) else repr(key))
        return super().construct_mapping(node, deep)


_Loader.add_constructor("tag:yaml.org,2002:int", _Loader.construct_yaml_int)
_Loader.add_implicit_resolver(
    "tag:yaml.org,2002:float",
    re.compile(r"^[-+]?(?:[0-9][0-9_]*(?:\.[0-9_]*)?|\.[0-9_]+)[eE][-+]?[0-9]+$"),
    list("-+0123456789."),
)


def read_yaml(path: Path) -> dict[str, Any]:
    """Read a YAML file whose top level is a mapping.

    Raises:
        InputError: No such file, not UTF-8, too large, a syntax error (with line and column), or no mapping.
    """
    if not path.is_file():
        raise InputError(f"Expected `{path}` to be a YAML file, but there is no such file.")
    if path.stat().st_size > YAML_BYTES:
        raise InputError(f"Expected `{path}` to be at most 1 MiB, but got {path.stat().st_size:,} bytes.")
    try:
        content = yaml.load(path.read_text(encoding="utf-8"), Loader=_Loader)  # noqa: S506 - a SafeLoader
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark
        place = f"line {mark.line + 1}, column {mark.column + 1}" if mark else "unknown place"
        raise InputError(f"{path}: {place}: {error.problem}.") from None
    except (yaml.YAMLError, RecursionError, ValueError, OverflowError, TypeError, KeyError, IndexError) as error:
        raise InputError(f"{path}: Expected valid YAML in UTF-8, but got: {reason_of(error)}") from None
    if not isinstance(content, dict):
        raise InputError(f"{path}: Expected a mapping with `members:` at the top, but got {type(content).__name__}.")
    return content


def write_yaml(path: Path, content: dict[str, Any]) -> None:
    """Write a mapping, keys in the given order."""
    write_text(path, yaml.safe_dump(content, sort_keys=False, allow_unicode=True, width=110))


def yaml_text(content: Any) -> str:
    """YAML as people write it: innermost mappings and lists on one line, keys in the given order.

    Example:
        >>> yaml_text({"optimizer": {"kind": "sgd", "lr": 0.1}}).strip()
        'optimizer: {kind: sgd, lr: 0.1}'
    """
    text: str = yaml.safe_dump(content, sort_keys=False, allow_unicode=True, width=110, default_flow_style=None)
    return text
