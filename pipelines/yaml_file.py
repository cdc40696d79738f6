"""Reads and writes YAML: the one module that knows the library.

Safe loading only. Duplicate keys are refused, and numbers such as `1e-4` are numbers, as everybody but YAML 1.1 thinks.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import yaml

from backbones.errors import InputError

__all__ = ["read_yaml", "write_yaml", "yaml_text"]

_LARGEST = 1 << 20


class _Loader(yaml.SafeLoader):
    """Safe loader that refuses duplicate keys and aliases."""

    def compose_node(self, parent: Any, index: Any) -> Any:
        if self.check_event(yaml.AliasEvent):
            event = self.peek_event()  # type: ignore[no-untyped-call]
            raise yaml.composer.ComposerError(None, None, "aliases are not supported", event.start_mark)
        return super().compose_node(parent, index)

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
    if path.stat().st_size > _LARGEST:
        raise InputError(f"Expected `{path}` to be at most 1 MiB, but got {path.stat().st_size:,} bytes.")
    try:
        content = yaml.load(path.read_text(encoding="utf-8"), Loader=_Loader)  # noqa: S506 - a SafeLoader
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark
        place = f"line {mark.line + 1}, column {mark.column + 1}" if mark else "unknown place"
        raise InputError(f"{path}: {place}: {error.problem}.") from None
    except (yaml.YAMLError, UnicodeDecodeError, RecursionError, ValueError) as error:
        raise InputError(f"{path}: Expected valid YAML in UTF-8, but got: {str(error).splitlines()[0]}") from None
    if not isinstance(content, dict):
        raise InputError(f"{path}: Expected a mapping with `members:` at the top, but got {type(content).__name__}.")
    return content


def write_yaml(path: Path, content: dict[str, Any]) -> None:
    """Write a mapping, keys in the given order."""
    path.write_text(yaml.safe_dump(content, sort_keys=False, allow_unicode=True, width=110), encoding="utf-8")


def yaml_text(content: Any) -> str:
    """YAML as people write it: innermost mappings and lists on one line, keys in the given order.

    Example:
        >>> yaml_text({"optimizer": {"kind": "sgd", "lr": 0.1}}).strip()
        'optimizer: {kind: sgd, lr: 0.1}'
    """
    text: str = yaml.safe_dump(content, sort_keys=False, allow_unicode=True, width=110, default_flow_style=None)
    return text
