"""A committee: a tree of fitted rules over named members.

Fits the rules of a resolved tree from stored probabilities, fuses new ones, and goes to JSON and back. Level 2 is
fitted on what level 1 says of faces it has not seen. Knows no files and no networks.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from backbones.errors import EnsembleError, InputError, nearest
from ensemble.binding import bind
from ensemble.calibration import calibrated
from ensemble.committee_spec import CommitteeNode
from ensemble.expression import EXPRESSIONS
from ensemble.fold import stratified_folds
from ensemble.rule.temperature import COLDEST, HOTTEST
from ensemble.rules import RULES, FusionRule, Labels, Probs, check_labels, check_probs

__all__ = ["FORMAT", "Committee", "FittedNode", "cross_fit", "fit_node"]

FORMAT = "ensemble committee 1"

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


@dataclass(frozen=True, kw_only=True)
class Committee:
    """A fitted committee.

    Kim et al., 2015, Hierarchical committee of deep convolutional neural networks for robust facial expression
    recognition.

    Attributes:
        root: The fitted tree.
        classes: K class names, in column order.
        temperature: What its probabilities are to be scaled by to mean what they say; None if that was not looked into.

    Raises:
        InputError: The temperature is none that a fit can find.
    """

    root: FittedNode
    classes: tuple[str, ...]
    temperature: float | None = None

    def __post_init__(self) -> None:
        known = self.temperature
        if known is not None and not (isinstance(known, int | float) and COLDEST <= known <= HOTTEST):
            raise InputError(
                f"Expected `temperature` of the committee to be a number from {COLDEST:g} to {HOTTEST:g}, "
                f"but got {known!r}. `ensemble fuse` fits it anew."
            )

    @classmethod
    def fit(
        cls,
        node: CommitteeNode,
        posteriors: Posteriors,
        labels: npt.ArrayLike,
        *,
        seed: int = 0,
        folds: int = 5,
        classes: Sequence[str] = EXPRESSIONS,
    ) -> Committee:
        """Fit every rule of a tree.

        Args:
            node: The resolved tree.
            posteriors: (N, K) validation probabilities by member name; members outside the tree are ignored.
            labels: (N,) true class indices.
            seed: Seed of the folds.
            folds: Folds for the out-of-fold probabilities that upper levels are fitted on.
            classes: K class names, in column order.

        Raises:
            InputError: A member is missing, or the shapes do not fit each other.
        """
        known = _require(node.members, posteriors, len(classes))
        checked = check_labels(labels, known[node.members[0]].shape)
        return cls(root=fit_node(node, known, checked, folds=folds, seed=seed), classes=tuple(classes))

    @property
    def members(self) -> tuple[str, ...]:
        """Names of all members that have a vote."""
        return self.root.node.members

    def __call__(self, posteriors: Posteriors) -> Probs:
        """Fuse (N, K) probabilities by member name into (N, K); members outside the tree are ignored.

        Raises:
            InputError: A member is missing, or the shapes do not fit each other.
        """
        return self.root(_require(self.members, posteriors, len(self.classes)))

    def calibrated(self, probs: Probs) -> Probs:
        """The committee's own (N, K) probabilities at its temperature; no vote changes."""
        return calibrated(probs, 1.0 if self.temperature is None else self.temperature)

    def outputs(self, posteriors: Posteriors) -> dict[str, Probs]:
        """(N, K) probabilities of every node by its name, the whole committee first."""
        known = _require(self.members, posteriors, len(self.classes))
        return {fitted.node.name: fitted(known) for fitted in self.root.walk()}

    def to_json(self) -> dict[str, Any]:
        """The committee as JSON, with rule names, weights by member and exponents in plain sight."""
        known = {} if self.temperature is None else {"temperature": self.temperature}
        return {"format": FORMAT, "classes": list(self.classes), **known, "committee": _to_json(self.root)}

    @classmethod
    def from_json(cls, content: Mapping[str, Any]) -> Committee:
        """The exact committee that `to_json` wrote.

        Raises:
            InputError: The content is no committee of this format.
        """
        found = content.get("format") if isinstance(content, Mapping) else content
        if found != FORMAT:
            raise InputError(f"Expected a committee of format {FORMAT!r}, but got {found!r}.")
        try:
            return cls(
                root=_from_json(content["committee"], "committee"), classes=tuple(content["classes"]),
                temperature=content.get("temperature"),
            )  # fmt: skip
        except (KeyError, TypeError, AttributeError) as error:
            raise InputError(
                f"Expected a whole committee, but its JSON is damaged: {error!r}. Fit it again."
            ) from error


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


def _require(names: Sequence[str], posteriors: Posteriors, classes: int) -> dict[str, Probs]:
    """The probabilities of the named members as float64, all of one shape."""
    missing = [name for name in names if name not in posteriors]
    if missing:
        raise InputError(
            f"Expected probabilities of {len(names)} members, but {len(missing)} are missing: {', '.join(missing)}. "
            f"{nearest(missing[0], posteriors)}".rstrip()
        )
    known = {name: np.asarray(posteriors[name], dtype=np.float64) for name in names}
    first = known[names[0]].shape
    for name, array in known.items():
        if array.shape != first or array.ndim != 2 or array.shape[1] != classes:
            raise InputError(
                f"Expected probabilities of shape ({first[0] if first else 0}, {classes}) from every member, "
                f"but got {array.shape} from {name!r}."
            )
        try:
            check_probs(array[None])
        except InputError as error:
            raise InputError(str(error).replace("from member 0", f"from {name!r}")) from None
    return known


def _to_json(fitted: FittedNode) -> dict[str, Any]:
    node, learned = fitted.node, fitted.rule.state()
    for attribute in fitted.rule.per_member:
        key = attribute.removesuffix("_")
        learned[key] = dict(zip(node.children, learned[key], strict=True))
    return {
        "name": node.name,
        "rule": node.rule,
        "parameters": dict(node.parameters),
        **({} if node.grouped_by is None else {"grouped_by": dict(node.grouped_by)}),
        "learned": learned,
        "over": [child if isinstance(child, str) else _to_json(child) for child in fitted.over],
    }


def _from_json(content: Mapping[str, Any], where: str) -> FittedNode:
    over = tuple(
        child if isinstance(child, str) else _from_json(child, f"{where}.over[{row}]")
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
    return FittedNode(node=node, rule=rule.load_state(learned), over=over)
