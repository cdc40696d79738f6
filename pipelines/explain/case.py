"""What is explained: members, faces, what was said of them, and the class that every map is about."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from ensemble.committee import Committee
from pipelines.explain.faces import ShownFaces
from pipelines.explain.subject import Subject

__all__ = ["Case", "Sheet", "make_case"]


@dataclass(frozen=True, kw_only=True)
class Sheet:
    """A picture to be written, or the reason why there is none.

    Attributes:
        method: What made it.
        member: Whose it is; None for the committee's.
        figure: A matplotlib figure; None if the method does not apply.
        facts: Numbers that belong to it, as JSON; `reason` where there is no figure.
    """

    method: str
    member: str | None
    figure: Any = None
    facts: Mapping[str, Any] = field(default_factory=dict)

    @property
    def file(self) -> str:
        """Its file name."""
        return f"{self.method}.png" if self.member is None else f"{self.method}-{self.member}.png"


@dataclass(frozen=True, kw_only=True)
class Case:
    """The members to explain and their answers.

    Attributes:
        name: Of the committee, or of the one member.
        committee: The fitted rules; None where one member, or some of them, are explained.
        subjects: The members.
        shown: The faces.
        classes: K class names.
        posteriors: (N, K) probabilities by member, those without a network included.
        said: (N, K) probabilities of the committee, or of the one member.
        target: (N,) class that maps are about.
        seed: Of everything drawn.
    """

    name: str
    committee: Committee | None
    subjects: tuple[Subject, ...]
    shown: ShownFaces
    classes: tuple[str, ...]
    posteriors: Mapping[str, npt.NDArray[np.float64]]
    said: npt.NDArray[np.float64]
    target: npt.NDArray[np.int64]
    seed: int

    @property
    def subject_of_maps(self) -> str:
        """Which class the maps are about, in words."""
        same = bool((self.target == self.said.argmax(axis=1)).all())
        return "for what was said" if same else f"for {self.classes[int(self.target[0])]}"

    def words(self, row: int) -> str:
        """What is said of a face in all, in two lines."""
        truth, vote = self.shown.truths[row], int(self.said[row].argmax())
        first = f"true {truth}" if truth else self.shown.ids[row].rsplit("/", 1)[-1][-18:]
        return f"{first}\nsaid {self.classes[vote]} {self.said[row, vote]:.2f}"

    def member_words(self, name: str, row: int) -> str:
        """What one member says of a face: its own label if that is another, and the explained class's probability."""
        return _own_words(self.posteriors[name][row], self.classes, int(self.target[row]))

    def committee_words(self, row: int) -> str:
        """The same of the committee."""
        return _own_words(self.said[row], self.classes, int(self.target[row]))

    def describe(self) -> dict[str, Any]:
        """The faces and what was said of them, as JSON."""
        rows = []
        for i, (name, truth) in enumerate(zip(self.shown.ids, self.shown.truths, strict=True)):
            vote, k = int(self.said[i].argmax()), int(self.target[i])
            rows.append(
                {
                    "id": name,
                    "true": truth or None,
                    "predicted": self.classes[vote],
                    "probability": round(float(self.said[i, vote]), 6),
                    "explained": self.classes[k],
                    "members": {n: round(float(p[i, k]), 6) for n, p in self.posteriors.items()},
                }
            )
        return {"name": self.name, "classes": list(self.classes), "seed": self.seed, "faces": rows}


def _own_words(probs: npt.NDArray[np.float64], classes: tuple[str, ...], target: int) -> str:
    vote = int(probs.argmax())
    other = f"says {classes[vote]} {probs[vote]:.2f}" if vote != target else "agrees"
    return f"{other}\n{classes[target]} {probs[target]:.2f}"


def make_case(
    *,
    name: str,
    committee: Committee,
    subjects: tuple[Subject, ...],
    everyone: Mapping[str, Subject],
    speaker: str | None,
    shown: ShownFaces,
    expression: str | None,
    seed: int,
) -> Case:
    """Ask everyone about the faces, and settle which class is explained.

    Args:
        name: Of the committee.
        committee: The fitted rules.
        subjects: The members to explain.
        everyone: All members with a network, by name.
        speaker: The member whose label is explained; None for the committee's.
        shown: The faces.
        expression: The class to explain for all faces; None for the label of each.
        seed: Of everything drawn.
    """
    posteriors = {n: one.member.probabilities(shown.images) for n, one in everyone.items()} | dict(shown.outside)
    complete = set(committee.members) <= set(posteriors)
    if speaker is not None:
        said = posteriors[speaker]
    elif complete:
        said = committee(posteriors)
    else:  # members without a network keep silent: the mean of the others
        said = np.asarray(np.mean(list(posteriors.values()), axis=0))
    votes = said.argmax(axis=1)
    target = votes if expression is None else np.full_like(votes, committee.classes.index(expression))
    whole = complete and len(subjects) == len(everyone) and speaker is None
    return Case(
        name=speaker or name, committee=committee if whole else None, subjects=subjects, shown=shown,
        classes=committee.classes, posteriors=posteriors, said=said, target=target.astype(np.int64), seed=seed,
    )  # fmt: skip
