"""A committee: a tree of fitted rules over named members.

Fits the rules of a resolved tree from stored probabilities, fuses new ones, and goes to JSON and back. Knows no files
and no networks.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from backbones.errors import InputError, nearest
from ensemble.calibration import calibrated
from ensemble.committee_spec import CommitteeNode
from ensemble.expression import EXPRESSIONS
from ensemble.fitted_node import FittedNode, Posteriors, fit_node
from ensemble.rule.temperature import COLDEST, HOTTEST
from ensemble.rules import Probs, check_labels, check_probs

__all__ = ["FORMAT", "Committee"]

FORMAT = "ensemble committee 1"


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
        return {"format": FORMAT, "classes": list(self.classes), **known, "committee": self.root.to_json()}

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
                root=FittedNode.from_json(content["committee"], "committee"), classes=tuple(content["classes"]),
                temperature=content.get("temperature"),
            )  # fmt: skip
        except (KeyError, TypeError, AttributeError) as error:
            raise InputError(
                f"Expected a whole committee, but its JSON is damaged: {error!r}. Fit it again."
            ) from error


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
