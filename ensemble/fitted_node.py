"""A node of a committee whose rule is fitted, and the fit.

A level is fitted on what the one below it says of faces that it has not seen.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from backbones.errors import EnsembleError
from ensemble.binding import bind
from ensemble.committee_spec import CommitteeNode
from ensemble.fold import stratified_folds
from ensemble.rules import RULES, FusionRule, Labels, Probs

__all__ = ["FittedNode", "Posteriors", "cross_fit", "fit_node"]

Posteriors = Mapping[str, npt.NDArray[np.float64]]


@dataclass(frozen=True, kw_only=True)
class FittedNode:
    """A node whose rule is fitted.

    Attributes:
        node: What it fuses, by which rule.
        rule: The fitted rule.
        over: The fitted child nodes and the names of members, in the order of `node.over`.
    """

    node: CommitteeNode
    rule: FusionRule
    over: tuple[FittedNode | str, ...]

    def __call__(self, posteriors: Posteriors) -> Probs:
        """Fuse (N, K) probabilities of every member into (N, K)."""
        return self.rule(np.stack([posteriors[c] if isinstance(c, str) else c(posteriors) for c in self.over]))

    def walk(self) -> Iterator[FittedNode]:
        """This node and all nodes below it, parents first."""
        yield self
        for child in self.over:
            if isinstance(child, FittedNode):
                yield from child.walk()

    def to_json(self) -> dict[str, Any]:
        """The node and all below it, with rule names, weights by member and exponents in plain sight."""
        node, learned = self.node, self.rule.state()
        for attribute in self.rule.per_member:
            key = attribute.removesuffix("_")
            learned[key] = dict(zip(node.children, learned[key], strict=True))
        return {
            "name": node.name,
            "rule": node.rule,
            "parameters": dict(node.parameters),
            **({} if node.grouped_by is None else {"grouped_by": dict(node.grouped_by)}),
            "learned": learned,
            "over": [child if isinstance(child, str) else child.to_json() for child in self.over],
        }

    @classmethod
    def from_json(cls, content: Mapping[str, Any], where: str) -> FittedNode:
        """The exact node that `to_json` gave.

        Args:
            content: What it gave.
            where: Its place in the whole, for messages.
        """
        over = tuple(
            child if isinstance(child, str) else cls.from_json(child, f"{where}.over[{row}]")
            for row, child in enumerate(content["over"])
        )
        parameters = bind(content["rule"], content["parameters"], RULES, where, key="rule")
        node = CommitteeNode(
            name=content["name"],
            rule=content["rule"],
            parameters=parameters,
            over=tuple(child if isinstance(child, str) else child.node for child in over),
            grouped_by=content.get("grouped_by"),
        )
        rule = RULES.build(node.rule, **parameters)
        learned = dict(content["learned"])
        for attribute in rule.per_member:
            key = attribute.removesuffix("_")
            learned[key] = [learned[key][child] for child in node.children]
        return cls(node=node, rule=rule.load_state(learned), over=over)


def fit_node(node: CommitteeNode, posteriors: Posteriors, labels: Labels, *, folds: int, seed: int) -> FittedNode:
    """Fit a node and everything below it.

    A rule that learns is fitted on the cross-fitted output of its child nodes; the child nodes are then refitted on all
    faces.

    Args:
        node: The resolved tree.
        posteriors: (N, K) probabilities by member name.
        labels: (N,) true class indices.
        folds: Folds for the cross-fitted output of child nodes.
        seed: Seed of the folds.

    Raises:
        EnsembleError: Groups of the tree are not known yet.
    """
    if node.pending is not None:
        raise EnsembleError(f"Expected the groups of `{node.name}` to be known, but they are not. Settle them first.")
    rule = RULES.build(node.rule, **node.parameters)
    over = tuple(
        child if isinstance(child, str) else fit_node(child, posteriors, labels, folds=folds, seed=seed)
        for child in node.over
    )
    if rule.needs_fit:
        inputs = [
            posteriors[child]
            if isinstance(child, str)
            else cross_fit(child, posteriors, labels, folds=folds, seed=seed)
            for child in node.over
        ]
        rule.fit(np.stack(inputs), labels)
    return FittedNode(node=node, rule=rule, over=over)


def cross_fit(
    node: CommitteeNode, posteriors: Posteriors, labels: Labels, *, folds: int, seed: int, inner_folds: int = 5
) -> Probs:
    """(N, K) output of a node for faces that it was not fitted on.

    Args:
        node: The resolved tree.
        posteriors: (N, K) probabilities by member name.
        labels: (N,) true class indices.
        folds: Number of stratified folds.
        seed: Seed of the folds.
        inner_folds: Folds of the fits within, where the node has child nodes itself.
    """
    if not any(RULES.get(inner.rule)(**inner.parameters).needs_fit for inner in node.walk()):
        return fit_node(node, posteriors, labels, folds=folds, seed=seed)(posteriors)
    fold = stratified_folds(labels, folds=folds, seed=seed)  # (N,)
    result = np.empty_like(posteriors[node.members[0]])
    for index in range(fold.max() + 1):
        held = fold == index
        seen = {name: posteriors[name][~held] for name in node.members}
        unseen = {name: posteriors[name][held] for name in node.members}
        result[held] = fit_node(node, seen, labels[~held], folds=inner_folds, seed=seed)(unseen)
    return result
