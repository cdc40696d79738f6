"""What becomes one ONNX file: its graph, and the product's own answers that the graph has to give as well."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
from torch import nn

from backbones.errors import InputError, nearest
from ensemble.fitted_node import FittedNode
from pipelines.export.graph import CommitteeGraph, MemberGraph
from pipelines.folded_member import FoldedMember
from pipelines.member import Member
from pipelines.predictor import Predictor

__all__ = ["CALIBRATED", "MEMBERS", "PROBS", "Answers", "Exportable", "single_members", "whole_committee"]

PROBS, CALIBRATED, MEMBERS = "probs", "calibrated", "members"

Answers = Mapping[str, npt.NDArray[np.floating[Any]]]

_LARGEST = 2**31 - 2**20
"""Bytes of parameters: ONNX files end at 2 GiB."""


@dataclass(frozen=True, kw_only=True)
class Exportable:
    """A committee or a member on its way into a file.

    Attributes:
        name: Stem of the file.
        graph: (N, C, S, S) uint8 to the outputs.
        outputs: What each output holds, by name, in order.
        answers: (N, S, S) or (N, S, S, 3) uint8 faces to what the product says of them, by output.
        parts: Graphs of the members, by name.
        facts: What the file is to say of it: members, rule, temperature.
    """

    name: str
    graph: nn.Module
    outputs: Mapping[str, str]
    answers: Callable[[npt.NDArray[np.uint8]], Answers]
    parts: Mapping[str, nn.Module]
    facts: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        size = sum(p.numel() * p.element_size() for p in self.graph.parameters())
        if size > _LARGEST:
            raise InputError(
                f"Expected at most 2 GiB of parameters in one ONNX file, but got {size / 2**30:.1f} GiB in "
                f"`{self.name}`. Export its members by themselves: `--members {','.join(self.parts)}`."
            )


def whole_committee(predictor: Predictor, name: str) -> Exportable:
    """The committee with all of its members.

    Raises:
        InputError: A member or a rule is not to be had as a graph.
    """
    _check_networks(predictor)
    committee, members = predictor.committee, {n: predictor.members[n] for n in predictor.committee.members}
    _check_faces(predictor, members)
    parts = {own: MemberGraph(member) for own, member in members.items()}

    def answers(faces: npt.NDArray[np.uint8]) -> Answers:
        posteriors = {own: member.probabilities(faces) for own, member in members.items()}
        fused = committee(posteriors)
        known = {PROBS: fused, MEMBERS: np.stack(list(posteriors.values()), axis=1)}
        return known if committee.temperature is None else known | {CALIBRATED: committee.calibrated(fused)}

    outputs = {
        PROBS: "(N, classes): the committee's probabilities, as `ensemble predict` gives them",
        CALIBRATED: "(N, classes): the same at its temperature, as `ensemble predict --calibrated` gives them",
        MEMBERS: "(N, members, classes): each member's own",
    }
    if committee.temperature is None:
        del outputs[CALIBRATED]
    return Exportable(
        name=name, graph=CommitteeGraph(list(parts.values()), list(parts), committee), outputs=outputs,
        answers=answers, parts=parts,
        facts={
            "kind": "committee", "members": list(parts), "rule": _tree(committee.root),
            "temperature": committee.temperature,
        },
    )  # fmt: skip


def single_members(predictor: Predictor, names: Sequence[str]) -> list[Exportable]:
    """Members by themselves.

    Raises:
        InputError: The committee has no such member, or it has no network.
    """
    for name in names:
        if name not in predictor.committee.members:
            raise InputError(
                f"Expected `--members` to name members of the committee, but got {name!r}. "
                f"{nearest(name, predictor.committee.members)}"
            )
        if name in predictor.outside:
            raise InputError(
                f"Expected members with a network in `--members`, but only probabilities are known of {name!r}. "
                f"{nearest('', predictor.members)}".rstrip()
            )
    chosen = {name: predictor.members[name] for name in dict.fromkeys(names)}
    _check_faces(predictor, chosen)
    return [_single(name, member) for name, member in chosen.items()]


def _single(name: str, member: Member | FoldedMember) -> Exportable:
    graph = MemberGraph(member)
    return Exportable(
        name=name, graph=graph, outputs={PROBS: "(N, classes): the member's probabilities"},
        answers=lambda faces: {PROBS: member.probabilities(faces)}, parts={name: graph},
        facts={"kind": "member", "members": [name], "rule": None, "temperature": None},
    )  # fmt: skip


def _check_networks(predictor: Predictor) -> None:
    if predictor.outside:
        names = ", ".join(predictor.outside)
        others = ",".join(predictor.members)
        remedy = f", or export others by themselves: `--members {others}`" if others else ""
        raise InputError(
            f"Expected a network for every member of `{predictor.folder}`, but only probabilities are known of the "
            f"outside members: {names}. Fit a committee without them{remedy}."
        )


def _check_faces(predictor: Predictor, members: Mapping[str, Member | FoldedMember]) -> None:
    """Borrowed members may see other faces than the committee; OpenCV makes them so, which no graph can."""
    shown = (predictor.face_size, predictor.face_channels)
    others = [name for name, member in members.items() if (member.face_size, member.face_channels) != shown]
    if others:
        own = members[others[0]]
        raise InputError(
            f"Expected members that see faces of {shown[0]} px and {shown[1]} channel(s), as the committee does, but "
            f"{', '.join(others)} see others ({others[0]}: {own.face_size} px, {own.face_channels} channel(s)), which "
            f"ONNX cannot make. Export each from the committee that it was fitted in."
        )


def _tree(fitted: FittedNode) -> dict[str, Any]:
    """The rules and what each fuses, without what they learned."""
    choice = {"choice": fitted.rule.state()["choice"]} if fitted.node.rule == "auto" else {}
    over = [_tree(child) if isinstance(child, FittedNode) else child for child in fitted.over]
    return {"rule": fitted.node.rule, **choice, "over": over}
