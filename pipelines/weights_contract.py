"""Checks that a member and its pretrained weights were made for each other, before torch is loaded or data is read.

What cannot work is a problem. What works, only worse, is a note: here for an earlier member's input; for public weights
see `pipelines.member_notes`. The sizes of tensors are checked when the network is built.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from backbones.errors import InputError, Problem
from backbones.registry import BACKBONES, HEADS
from ensemble.binding import bind
from ensemble.spec import ComponentSpec, InputSpec, MemberSpec
from ensemble.weights_catalogue import CATALOGUE, PretrainedWeights
from pipelines.lent_member import LentMember

__all__ = ["check_entry", "check_lent", "note_lent"]

_NO_TENSORS = frozenset({"dropout", "drop_rate", "drop_path_rate", "pretrained", "taps"})
"""Parameters of backbones on which no tensor's shape depends; what `taps` leaves out is counted at the build."""


def check_entry(spec: MemberSpec, entry: PretrainedWeights, where: str) -> list[Problem]:
    """Whatever keeps weights of the catalogue from being this member's."""
    if spec.backbone.kind != entry.backbone:
        others = [f"`{other.name}`" for other in CATALOGUE.values() if other.backbone == spec.backbone.kind]
        remedy = f"Its own are {', '.join(others)}." if others else "The catalogue has none for that."
        message = (
            f"Expected weights for the backbone `{spec.backbone.kind}`, but `{entry.name}` is for `{entry.backbone}`. "
            f"{remedy} A file of your own: `weights: {{file: …}}`."
        )
        return [Problem.at(where, message)]
    own = _parameters(spec.backbone)
    problems = [
        f"Expected `backbone.{key}` to be {_yaml(value)} for the weights `{entry.name}`, but got {_yaml(own[key])}."
        for key, value in entry.parameters.items()
        if own.get(key, value) != value
    ]
    return [Problem.at(where, text) for text in (*problems, *_input_problems(spec, entry, own))]


def check_lent(spec: MemberSpec, lent: LentMember, where: str) -> list[Problem]:
    """Whatever keeps the backbone of an earlier member from being this member's."""
    whose = f"`{lent.name}` of `{lent.committee}`"
    if spec.backbone.kind != lent.spec.backbone.kind:
        message = f"Expected a member with the backbone `{spec.backbone.kind}`, but that of {whose} is "
        return [Problem.at(where, f"{message}`{lent.spec.backbone.kind}`. Take the same backbone.")]
    own, theirs = (_shaping(_parameters(component)) for component in (spec.backbone, lent.spec.backbone))
    return [
        Problem.at(
            where,
            f"Expected `backbone.{key}` to be {_yaml(theirs.get(key))} as in {whose}, but got {_yaml(own.get(key))}. "
            f"Take the same backbone.",
        )
        for key in sorted({*own, *theirs})
        if own.get(key) != theirs.get(key)
    ]


def note_lent(spec: MemberSpec, lent: LentMember) -> str | None:
    """What makes the transfer worse than it could be."""
    theirs = lent.spec.input
    known = {"size": theirs.size or lent.content.get("face_size")}
    same_size = spec.input.size is None or spec.input.size == known["size"]
    if same_size and spec.input.channels == theirs.channels and spec.input.normalize == theirs.normalize:
        return None
    return (
        f"{spec.name}: the backbone of `{lent.name}` was trained on {_seen(theirs.model_copy(update=known))}; this "
        f"member sees {_seen(spec.input)}. That works, but less is transferred."
    )


def _input_problems(spec: MemberSpec, entry: PretrainedWeights, own: Mapping[str, Any]) -> Iterator[str]:
    declared, (channels, side), size = entry.input, entry.shape, spec.input.size
    if spec.input.channels not in declared.allowed_channels:
        yield (
            f"Expected `input.channels` to be {channels} for the weights `{entry.name}`, but got {spec.input.channels}."
        )
    if size is not None and size < declared.minimum_size:
        yield (
            f"Expected `input.size` to be at least {declared.minimum_size} for the weights `{entry.name}`, but got "
            f"{size}. They were trained on {side}."
        )
    bound = entry.other_sizes and any(own.get(key) != value for key, value in entry.other_sizes.items())
    if bound and size not in (None, side) and _attach(spec.head) == "fc" and _strict(spec):
        escape = ", ".join(f"{key}: {_yaml(value)}" for key, value in entry.other_sizes.items())
        yield (
            f"Expected `input.size` to be {side} for the weights `{entry.name}`, but got {size}. "
            f"Set it, or `backbone: {{kind: {entry.backbone}, {escape}}}`."
        )


def _strict(spec: MemberSpec) -> bool:
    """Whether nearly all parameters have to be filled, so that a lost layer is a mistake."""
    return spec.weights is None or spec.weights.minimum >= 0.9


def _attach(head: ComponentSpec) -> str:
    """Where the head attaches to the backbone."""
    parameter = HEADS.describe(head.kind).parameters.get("attach")
    return str(head.parameters.get("attach", parameter.default if parameter else "fc"))


def _parameters(component: ComponentSpec) -> dict[str, Any]:
    """All parameters, defaults filled in; empty if they are wrong, which is told elsewhere."""
    try:
        return bind(component.kind, component.parameters, BACKBONES, "backbone")
    except InputError:
        return {}


def _shaping(value: Any) -> Any:
    """Parameters without those on which no tensor depends, at any depth."""
    if isinstance(value, Mapping):
        return {key: _shaping(inner) for key, inner in value.items() if key not in _NO_TENSORS}
    return [_shaping(inner) for inner in value] if isinstance(value, list | tuple) else value


def _seen(spec: InputSpec) -> str:
    side = spec.size or "the faces' own size"
    shape = f"{spec.channels}×{side}×{side}" if spec.size else f"{side}"
    return f"{shape}, {spec.normalize.kind}"


def _yaml(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) or value is None else str(value)
