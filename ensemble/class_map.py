"""Which class of a source becomes which class wanted: labels, votes and probabilities follow the same map.

Works on names and arrays; which data set or member the classes are of is told for messages alone.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from backbones.errors import InputError
from ensemble.class_meaning import Wanted, meaning_among, resolve_wanted
from ensemble.expression import EXPRESSIONS, class_named
from ensemble.metric import FLOOR

__all__ = ["ClassMap"]


@dataclass(frozen=True, kw_only=True)
class ClassMap:
    """A map from K classes of a source to the K' classes wanted.

    Attributes:
        source: K names.
        target: K' names.
        index: (K,) row of `target` that each class of the source becomes; -1 leaves it out.

    Example:
        >>> m = ClassMap.of(("happy", "sad", "contempt"), {"joy": "happy", "contempt": None}, where="faces.zip")
        >>> m.target, m.index
        (('happy', 'sad'), (0, 1, -1))
    """

    source: tuple[str, ...]
    target: tuple[str, ...]
    index: tuple[int, ...]

    @classmethod
    def of(cls, source: Sequence[str], wanted: Wanted, *, where: str) -> ClassMap:
        """Map the classes named in `wanted`; the others stay what they are.

        The classes that result are in the product's order: `EXPRESSIONS` first, others after them in the source's.

        Args:
            source: The source's classes.
            wanted: What becomes of some of them, under any name that is understood.
            where: Whose classes they are, for messages.

        Raises:
            InputError: A name is none of the source's, a class is named twice, or fewer than two classes are left.
        """
        names = resolve_wanted(source, wanted, where)
        meanings = [names.get(name, name) for name in source]
        left = list(dict.fromkeys(name for name in meanings if name is not None))
        target = (*(e for e in EXPRESSIONS if e in left), *(name for name in left if name not in EXPRESSIONS))
        if len(target) < 2:
            raise InputError(f"Expected `classes` to leave at least 2 classes of {where}, but got {list(target)}.")
        return cls._to(source, target, meanings)

    @classmethod
    def between(
        cls, source: Sequence[str], target: Sequence[str], wanted: Wanted, *, where: str, remedy: str = ""
    ) -> ClassMap:
        """Map a source onto classes that are given; every one of its classes is one of them, or stands in `wanted`.

        Args:
            source: The source's classes.
            target: The classes wanted, in order.
            wanted: What becomes of those of the source that are none of them.
            where: Whose classes they are, for messages.
            remedy: What to do about a class of the target without a source.

        Raises:
            InputError: As from `of`; or a class of the source is none of the target and not mapped, is mapped to none
                of them, two that are not mapped mean the same one, or a class of the target has no source.
        """
        names = resolve_wanted(source, wanted, where)
        meanings = [meaning_among(names, name, target, where) for name in source]
        own = [m for name, m in zip(source, meanings, strict=True) if name not in names]
        twice = next((name for name in own if own.count(name) > 1), None)
        if twice is not None:
            same = [n for n, m in zip(source, meanings, strict=True) if m == twice and n not in names]
            raise InputError(
                f"Expected one class of {where} for each class wanted, but {' and '.join(map(repr, same))} both mean "
                f"{twice}. Merge them: `classes: {{{same[-1]}: {twice}}}`."
            )
        missing = [name for name in target if name not in meanings]
        if missing:
            raise InputError(
                f"Expected a source in {where} for each of the classes {', '.join(target)}, but {', '.join(missing)} "
                f"{'has' if len(missing) == 1 else 'have'} none: it knows {', '.join(source)}. {remedy}".rstrip()
            )
        return cls._to(source, target, meanings)

    @classmethod
    def by_name(cls, source: Sequence[str], target: Sequence[str]) -> ClassMap:
        """Map the source's classes onto those of the target that they mean; all others are left out.

        Example:
            >>> ClassMap.by_name(("happy", "contempt", "sad"), ("sad", "happy", "neutral")).index
            (1, -1, 0)
        """
        return cls._to(source, target, [class_named(name, target) for name in source])

    @classmethod
    def from_state(cls, state: Mapping[str, Any]) -> ClassMap:
        """The map that `state` describes.

        Raises:
            InputError: It does not describe one.
        """
        try:
            source, target, meanings = ([*state[key]] for key in ("source", "target", "becomes"))
        except (KeyError, TypeError):
            raise InputError("Expected a class map with `source`, `target` and `becomes`.") from None
        known = all(isinstance(name, str) for name in (*source, *target)) and len(set(target)) == len(target)
        if not known or len(meanings) != len(source) or {*meanings} - {None} != {*target}:
            raise InputError(f"Expected a class of {target} or null for each of {source}, but got {meanings}.")
        return cls._to(source, target, meanings)

    @classmethod
    def stored(cls, content: Mapping[str, Any], where: str) -> ClassMap | None:
        """The map that a member's `spec.json` holds, from the classes of its network to its own; None without one.

        Args:
            content: The file's.
            where: The file, for messages.

        Raises:
            InputError: The map is none, or leads to other classes than the member's.
        """
        if "class_map" not in content:
            return None
        try:
            found = cls.from_state(content["class_map"])
        except InputError as error:
            raise InputError(f"{where}: {error}") from None
        if list(found.target) != content["classes"]:
            raise InputError(
                f"Expected the class map in {where} to lead to {content['classes']}, but got {list(found.target)}."
            )
        return found

    @classmethod
    def _to(cls, source: Sequence[str], target: Sequence[str], meanings: Sequence[str | None]) -> ClassMap:
        index = tuple(-1 if name is None else list(target).index(name) for name in meanings)
        return cls(source=tuple(source), target=tuple(target), index=index)

    @property
    def left_out(self) -> tuple[str, ...]:
        """Classes of the source that are left out."""
        return tuple(name for name, row in zip(self.source, self.index, strict=True) if row < 0)

    @property
    def is_identity(self) -> bool:
        """Whether it changes nothing."""
        return self.source == self.target and self.index == tuple(range(len(self.source)))

    def becomes(self, name: str) -> str | None:
        """What a class of the source becomes, None if it is left out."""
        row = self.index[self.source.index(name)]
        return None if row < 0 else self.target[row]

    def then(self, other: ClassMap) -> ClassMap:
        """This map and after it another, whose source is this one's target.

        Raises:
            InputError: It is not.
        """
        if other.source != self.target:
            raise InputError(f"Expected a map of the classes {list(self.target)}, but got one of {list(other.source)}.")
        index = tuple(-1 if row < 0 else other.index[row] for row in self.index)
        return ClassMap(source=self.source, target=other.target, index=index)

    def labels(self, labels: npt.ArrayLike) -> npt.NDArray[np.int64]:
        """(N,) class indices of the source to those of the target, -1 for classes left out; -1 stays.

        Example:
            >>> ClassMap.by_name(("fear", "sad"), ("sad", "happy")).labels([1, 0, -1]).tolist()
            [0, -1, -1]
        """
        return np.array([*self.index, -1], dtype=np.int64)[np.asarray(labels, dtype=np.int64)]

    def sums(self, values: npt.ArrayLike) -> npt.NDArray[np.float64]:
        """(..., K) values to (..., K'): those of classes that become the same one are added, others are dropped."""
        given = np.asarray(values, dtype=np.float64)
        result = np.zeros((*given.shape[:-1], len(self.target)))
        for column, row in enumerate(self.index):
            if row >= 0:
                result[..., row] += given[..., column]
        return result

    def probabilities(self, probs: npt.ArrayLike) -> npt.NDArray[np.float64]:
        """(..., K) probabilities to (..., K'), given that the face is of a class that is kept.

        q_j = Σ_{k → j} p_k / Σ_{k kept} p_k. Where less than 1e-12 is kept, the source says nothing of the classes
        wanted, and each of them gets 1/K'.

        Example:
            >>> m = ClassMap.of(("happy", "sad", "contempt"), {"contempt": None}, where="it")
            >>> m.probabilities([[0.2, 0.2, 0.6], [0.0, 0.0, 1.0]]).tolist()
            [[0.5, 0.5], [0.5, 0.5]]
        """
        sums = self.sums(probs)
        kept = sums.sum(axis=-1, keepdims=True)
        return np.where(kept < FLOOR, 1 / len(self.target), sums / np.maximum(kept, FLOOR))

    def state(self) -> dict[str, Any]:
        """The map as JSON."""
        return {
            "source": list(self.source), "target": list(self.target),
            "becomes": [self.becomes(name) for name in self.source],
        }  # fmt: skip
