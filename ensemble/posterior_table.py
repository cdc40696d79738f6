"""Probabilities as other tools write them: checked, brought into the data's order of classes, and matched to faces.

Works on names and numbers; which file they stand in is told for messages alone.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt

from backbones.errors import InputError, nearest
from ensemble.class_map import ClassMap
from ensemble.class_meaning import Wanted
from ensemble.expression import class_named
from ensemble.rules import Probs

__all__ = ["PosteriorTable", "check_ids", "mapped_columns", "matching_columns"]

Rows = npt.NDArray[np.int64]

_TOLERANCE = 1e-3


@dataclass(frozen=True, kw_only=True)
class PosteriorTable:
    """Probabilities of N faces.

    Attributes:
        source: The file, for messages.
        ids: N unique names.
        probs: (V, N, K) float64 probabilities of V views, in the data's order of classes; rows sum to 1.
    """

    source: str
    ids: Sequence[str]
    probs: Probs

    @classmethod
    def checked(cls, source: str, ids: Sequence[str], columns: Mapping[str, Probs]) -> PosteriorTable:
        """Check the probabilities; rows that are off 1 by rounding alone are divided by their sum.

        Args:
            source: The file, for messages.
            ids: N unique names.
            columns: (V, N) numbers by class, in the data's order.

        Raises:
            InputError: A number is none or negative, or a row does not sum to 1.
        """
        probs = np.stack(list(columns.values()), axis=-1)  # (V, N, K)
        bad = ~(np.isfinite(probs) & (probs >= 0))
        if bad.any():
            view, row, column = (int(i) for i in np.argwhere(bad)[0])
            raise InputError(
                f"Expected probabilities in {source}, but got {probs[view, row, column]:g} for "
                f"`{list(columns)[column]}` in {_row(ids, row)}."
            )
        sums = probs.sum(axis=-1)  # (V, N)
        off = np.abs(sums - 1) > _TOLERANCE
        if off.any():
            view, row = (int(i) for i in np.argwhere(off)[0])
            raise InputError(
                f"Expected probabilities that sum to 1 over {', '.join(columns)} in {source}, but those in "
                f"{_row(ids, row)} sum to {sums[view, row]:.4g}. If they are logits, put them through a softmax."
            )
        return cls(source=source, ids=ids, probs=probs / sums[..., None])

    def rows(self, wanted: Sequence[str]) -> Rows:
        """Row of every face wanted, by its name, else by its file name without folders where that is unique; else -1.

        Example:
            >>> table = PosteriorTable.checked("t", ["b.png", "x/a.png"], {"sad": np.array([[1.0, 1.0]])})
            >>> table.rows(["test/a.png", "test/b.png", "test/c.png"]).tolist()
            [1, 0, -1]
        """
        bases = Counter(map(_base, wanted))
        found = [
            self._row_of.get(n, self._row_of_base.get(_base(n), -1) if bases[_base(n)] == 1 else -1) for n in wanted
        ]
        return np.array(found, dtype=np.int64)

    @cached_property
    def _row_of(self) -> dict[str, int]:
        return {name: row for row, name in enumerate(self.ids)}

    @cached_property
    def _row_of_base(self) -> dict[str, int]:
        bases = Counter(map(_base, self.ids))
        return {_base(name): row for row, name in enumerate(self.ids) if bases[_base(name)] == 1}

    def of(self, wanted: Sequence[str], what: str) -> Probs:
        """(V, M, K) probabilities of the M faces wanted, in their order.

        Args:
            wanted: Their unique names.
            what: What they are, for messages, such as "validation faces".

        Raises:
            InputError: The table has no row for some of them.
        """
        rows = self.rows(wanted)
        missing = [name for name, row in zip(wanted, rows, strict=True) if row < 0]
        if missing:
            spare = sorted(set(range(len(self.ids))) - set(rows.tolist()))
            hint = f" Its rows without such a face are of {_shown([self.ids[row] for row in spare])}." if spare else ""
            raise InputError(
                f"Expected a row for each of the {len(wanted):,} {what} in {self.source}, but {len(missing):,} are "
                f"missing: {_shown(missing)}.{hint}"
            )
        return self.probs[:, rows]

    def beyond(self, wanted: Sequence[str], others: Mapping[str, Sequence[str]]) -> dict[str, int]:
        """Count the rows that are of none of the faces wanted, but of others that are known.

        Args:
            wanted: Names of the faces that the table is for.
            others: Names of other faces by split.

        Returns:
            Number of rows by split, for splits that have some.

        Raises:
            InputError: A row is of no known face.
        """
        left = np.setdiff1d(np.arange(len(self.ids)), self.rows(wanted))
        counts = {}
        for split, names in others.items():
            known, bases = set(names), {_base(name) for name in names}
            here = np.array([self.ids[row] in known or _base(self.ids[row]) in bases for row in left], dtype=bool)
            counts[split] = int(here.sum())
            left = left[~here]
        if len(left):
            raise InputError(
                f"Expected rows of the data's faces only in {self.source}, but {len(left):,} are of none: "
                f"{_shown([self.ids[row] for row in left])}, the first in {_row(self.ids, int(left[0]))}. Remove them."
            )
        return {split: count for split, count in counts.items() if count}


def check_ids(source: str, ids: Sequence[str]) -> None:
    """Refuse names of faces that are empty or stand twice, and a table without any.

    Raises:
        InputError: That is so.
    """
    if not ids:
        raise InputError(f"Expected probabilities of faces in {source}, but it has no rows.")
    first: dict[str, int] = {}
    for row, name in enumerate(ids):
        if not name:
            raise InputError(f"Expected the name of a face in every row of {source}, but row {row + 1} has none.")
        if name in first:
            raise InputError(
                f"Expected every face once in {source}, but got {name!r} in the rows {first[name] + 1} and {row + 1}."
            )
        first[name] = row


def matching_columns(source: str, names: Collection[str], classes: Sequence[str], *, exact: bool) -> dict[str, str]:
    """Which column holds which class.

    Args:
        source: The file, for messages.
        names: Class names as the file has them.
        classes: The data's classes.
        exact: Whether every name has to be a class; otherwise others are ignored.

    Returns:
        The file's name of every class, in the data's order.

    Raises:
        InputError: A class is missing, two names mean the same one, or one means none.
    """
    found: dict[str, str] = {}
    for name in names:
        target = class_named(name, classes)
        if target is None and exact:
            raise InputError(
                f"Expected the classes {', '.join(classes)} in {source}, but got {name!r}. {nearest(name, classes)} "
                f"Say what becomes of it: `classes: {{{name}: null}}` beside `file` leaves it out."
            )
        if target is not None and target in found:
            raise InputError(
                f"Expected one column for each class in {source}, but {found[target]!r} and {name!r} both mean "
                f"{target}."
            )
        if target is not None:
            found[target] = name
    missing = [name for name in classes if name not in found]
    if missing:
        raise InputError(
            f"Expected the classes {', '.join(classes)} in {source}, but {', '.join(missing)} "
            f"{'is' if len(missing) == 1 else 'are'} missing."
        )
    return {name: found[name] for name in classes}


def mapped_columns(
    source: str, names: Collection[str], classes: Sequence[str], wanted: Wanted, *, exact: bool
) -> ClassMap:
    """Which columns hold classes, and what becomes of each of them.

    Args:
        source: The file, for messages.
        names: Class names as the file has them.
        classes: The data's classes.
        wanted: What becomes of classes of the file.
        exact: Whether every name has to be a class; otherwise those that are no class, and are not mapped, are ignored.

    Returns:
        From the columns, under the file's names, to the data's classes.

    Raises:
        InputError: As from `ClassMap.between`.
    """
    mapped = {class_named(key, list(names)) for key in wanted}
    columns = [name for name in names if exact or name in mapped or class_named(name, classes)]
    return ClassMap.between(columns, classes, wanted, where=source)


def _base(name: str) -> str:
    return name.rpartition("/")[2]


def _row(ids: Sequence[str], row: int) -> str:
    return f"row {row + 1} ({ids[row]!r})"


def _shown(names: Sequence[str]) -> str:
    return ", ".join(map(repr, names[:3])) + (", …" if len(names) > 3 else "")
