"""Writes the reference of members.yaml from the specs and the registries: `python -m pipelines.reference FILE`."""

from __future__ import annotations

import inspect
import re
import sys
from pathlib import Path
from typing import Any

from pydantic import BaseModel
from pydantic_core import PydanticUndefined

from backbones.parameter import Block
from ensemble.align_spec import AlignSpec
from ensemble.committee_spec import NodeSpec
from ensemble.data_spec import DataSpec
from ensemble.grow_spec import GrowSpec
from ensemble.mix_spec import MixSpec
from ensemble.outside_spec import LoanSpec, PosteriorsSpec
from ensemble.spec import (
    FreezeSpec,
    InputSpec,
    MemberSpec,
    OptimizerSpec,
    ScheduleSpec,
    WeightsSpec,
)
from ensemble.teacher_spec import TeacherSpec
from ensemble.tune_spec import SearchSpec, TuneSpec
from ensemble.unfreeze_spec import UnfreezeSpec
from pipelines.atomic import write_text
from pipelines.members import listing

__all__ = ["reference"]

_INTRODUCTION = """# members.yaml

Generated from the specs by `make docs`; do not edit.

| field | default | |
|---|---|---|
| `name` | the file's name | of the committee, also of its folder |
| `data` | `synthetic` | a source, or a mapping: see below |
| `defaults` | | fields of every member that does not set them itself; nested mappings are merged field by field |
| `members` | required | members; [some](outside.md) have `posteriors` or `committee` instead of a `backbone` |
| `committee` | `{rule: log_likelihood}` | `{rule}` and one of `members`, `over` and `groups`: see below |
| `views` | `1` | perturbed views whose mean the committee is fitted on |
| `seed` | `0` | of the folds and the views |
| `tune` | none | what [`ensemble tune`](tune.md) searches |

A component is a mapping `{kind: NAME, parameter: value, …}`; a head, a loss or a normaliser may also be its name
alone. `freeze: backbone` and `unfreeze: gradual` are short for `{until: backbone}` and `{kind: gradual}`. A member's
component of another kind than that in `defaults` replaces it whole.
"""

_SPECS: tuple[tuple[str, type[BaseModel]], ...] = (
    ("data", DataSpec),
    ("data.align", AlignSpec),
    ("members[]", MemberSpec),
    ("members[].input", InputSpec),
    ("members[].weights", WeightsSpec),
    ("members[].freeze", FreezeSpec),
    ("members[].unfreeze", UnfreezeSpec),
    ("members[].mix", MixSpec),
    ("members[].grow", GrowSpec),
    ("members[].teacher", TeacherSpec),
    ("members[].optimizer", OptimizerSpec),
    ("members[].schedule", ScheduleSpec),
    ("members[].posteriors", PosteriorsSpec),
    ("members[].committee", LoanSpec),
    ("committee", NodeSpec),
    ("tune", TuneSpec),
    ("tune.search.PLACE", SearchSpec),
)


def reference() -> str:
    """The reference of members.yaml as Markdown."""
    parts = [_INTRODUCTION]
    for title, model in _SPECS:
        meanings = _meanings(model)
        parts.append(f"\n## {title}\n\n| field | default | |\n|---|---|---|")
        for name, field in model.model_fields.items():
            parts.append(f"| `{name}` | {_default(field.default)} | {meanings.get(name, '')} |")
    parts.append(
        "\n## members[].backbone.blocks[]\n\nOf `scratch_cnn` and `hog_cnn`.\n\n| field | default | |\n|---|---|---|"
    )
    parts += [f"| `{name}` | {_told_default(text)} | {text} |" for name, text in _meanings(Block).items()]
    parts.append(f"\n## Components\n\nAs `ensemble members list` prints them.\n\n```\n{listing()}\n```\n")
    return "\n".join(parts)


def _meanings(model: type[Any]) -> dict[str, str]:
    """The attributes of a Google docstring by name."""
    _, _, text = inspect.cleandoc(model.__doc__ or "").partition("Attributes:\n")
    entries = re.findall(r"^ {4}(\w+): (.*(?:\n {8}.*)*)", text, flags=re.MULTILINE)
    return {name: re.sub(r"\s+", " ", meaning).strip() for name, meaning in entries}


def _told_default(meaning: str) -> str:
    """The default that a meaning tells in brackets, where there is none in the code."""
    found = re.search(r"\((?:default )?([^;)]*)", meaning)
    return found[1] if found else "none"


def _default(value: Any) -> str:
    if value is PydanticUndefined:
        return "required"
    if isinstance(value, BaseModel):
        shown = value.model_dump(mode="json", exclude_defaults=True)
        return f"`{shown['kind']}`" if "kind" in shown else "see below"
    if value is None or value == ():
        return "none"
    return f"`{value}`"


if __name__ == "__main__":
    write_text(Path(sys.argv[1]), reference())
