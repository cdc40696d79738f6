"""A node of the committee's tree: as written in YAML, and with everything decided."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Literal

from annotated_types import Ge, MinLen
from pydantic import BaseModel, ConfigDict

__all__ = ["DEFAULT_RULE", "CommitteeNode", "NodeSpec"]

DEFAULT_RULE = "log_likelihood"


class NodeSpec(BaseModel):
    """One node of the tree as written; every other key is a parameter of the rule.

    Attributes:
        rule: Name of the fusion rule.
        name: Name of the node; by default that of its groups.
        members: Names of members and groups whose members the rule fuses. Groups may overlap.
        over: Instead of `members`: child nodes and names of members.
        groups: Instead of both: all members, in groups of one backbone family, of one input, or that vote alike.
        within: The rule inside each of these groups: its name, or a mapping with its parameters.
        count: Number of groups for `disagreement`; by default that of the best silhouette.
        calibrate: Where to put temperatures: `members` scales everything the node fuses before it does, `fused` the
            result.
        grouped_by: What `over` came from, where `groups` was asked for; written by the fit.
    """

    model_config = ConfigDict(extra="allow", frozen=True, strict=True)

    rule: str = DEFAULT_RULE
    name: Annotated[str, MinLen(1)] | None = None
    members: Annotated[list[str], MinLen(1)] = []
    over: Annotated[list[Any], MinLen(1)] = []
    groups: Literal["family", "input", "disagreement"] | None = None
    within: str | dict[str, Any] = DEFAULT_RULE
    count: Annotated[int, Ge(2)] | None = None
    calibrate: list[Literal["members", "fused"]] = []
    grouped_by: dict[str, Any] | None = None


@dataclass(frozen=True, kw_only=True)
class CommitteeNode:
    """A node with everything decided, but for groups that only the members' answers can tell.

    Attributes:
        name: Unique in the tree, and no member's name.
        rule: Name of the fusion rule.
        parameters: All its parameters, defaults filled in.
        over: What it fuses, in order: child nodes, and members by name.
        grouped_by: What `over` came from, if groups were asked for.
        pending: What was asked for, as long as the groups are not known; `over` then names all members.
    """

    name: str
    rule: str
    parameters: Mapping[str, Any]
    over: tuple[CommitteeNode | str, ...]
    grouped_by: Mapping[str, Any] | None = None
    pending: Mapping[str, Any] | None = None

    @property
    def children(self) -> tuple[str, ...]:
        """Names of what it fuses, in order."""
        return tuple(child if isinstance(child, str) else child.name for child in self.over)

    @property
    def members(self) -> tuple[str, ...]:
        """Names of all members below it, each once, in order of appearance."""
        names = (n for child in self.over for n in ((child,) if isinstance(child, str) else child.members))
        return tuple(dict.fromkeys(names))

    @property
    def settled(self) -> bool:
        """Whether all groups in it are known."""
        return all(node.pending is None for node in self.walk())

    def tree(self) -> dict[str, Any]:
        """The node as YAML would say it, with every member and every parameter named."""
        content: dict[str, Any] = {"name": self.name, "rule": self.rule, **self.parameters}
        if self.pending is not None:
            return {**content, **self.pending}
        if self.grouped_by is not None:
            content["grouped_by"] = dict(self.grouped_by)
        return {**content, "over": [child if isinstance(child, str) else child.tree() for child in self.over]}

    def walk(self) -> Iterator[CommitteeNode]:
        """This node and all nodes below it, parents first."""
        yield self
        for child in self.over:
            if isinstance(child, CommitteeNode):
                yield from child.walk()
