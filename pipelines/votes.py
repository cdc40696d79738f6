"""FER+ votes: ten judges' opinions of a face become a distribution over the data's classes.

Barsoum et al., 2016, Training deep networks for facial expression recognition with crowd-sourced label distribution.
"""

from __future__ import annotations

import csv
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from backbones.errors import InputError
from backbones.limits import TABLE_BYTES, check_size
from ensemble.class_map import ClassMap
from ensemble.expression import canonical_expression
from pipelines.csv_table import read_csv

__all__ = ["judged_no_face", "read_votes"]

_EMOTIONS = ("neutral", "happiness", "surprise", "sadness", "anger", "disgust", "fear", "contempt")
_FILE_COLUMNS = ("file", "Image name")
_USAGES = {"Training": "train", "PublicTest": "validation", "PrivateTest": "test"}
_ENOUGH_TO_JUDGE = 50
_LEAST_AGREEMENT = 0.4


@dataclass(frozen=True)
class _Votes:
    """A votes file: (rows,) file names and splits, and counts (rows, classes)."""

    files: list[str]
    splits: list[str]
    counts: npt.NDArray[np.float32]


def read_votes(
    path: Path,
    *,
    ids: npt.NDArray[np.str_],
    labels: npt.NDArray[np.int64],
    splits: npt.NDArray[np.str_],
    classes: Sequence[str],
    class_map: ClassMap | None = None,
    whole: int | None = None,
) -> npt.NDArray[np.float32]:
    """Read the votes on every face.

    Votes for other classes, for "unknown" and for "no face" are dropped and the rest is normalised; a face without any
    vote left, or without a row, gets its label. Votes for a class of the data that is mapped go where its faces go:
    those for classes merged are added, those for a class left out are dropped.

    Args:
        path: `ferplus.csv` (column `file`) or `fer2013new.csv` (column `Image name`). Rows are matched by path or file
            name; if none matches and the ids are those of a classic csv of as many rows, by row.
        ids: (N,) names of the faces.
        labels: (N,) class indices, for faces without votes.
        splits: (N,) splits, to check a match by row.
        classes: K class names.
        class_map: From the source's classes to these, if they are mapped.
        whole: Faces of the source, those that the map leaves out included; default N.

    Returns:
        (N, K) distributions.

    Raises:
        InputError: The header is another one, a count is no number, or no row matches a face.
    """
    votes = _read(path, _columns(classes, class_map), len(classes))
    rows = _match_names(votes.files, ids, votes.splits, splits)
    if rows is None:
        rows = _match_rows(votes, ids, splits, labels, len(ids) if whole is None else whole)
    if rows is None:
        raise InputError(
            f"Expected {path} to hold votes on these faces, but none of its {len(votes.files)} rows "
            f"(such as {votes.files[0]!r}) matches one of the {len(ids)} faces (such as {str(ids[0])!r}): "
            "neither by file name, nor row by row with the same `Usage`."
        )
    counts = np.where(rows[:, None] >= 0, votes.counts[rows], 0)  # (N, K)
    total = counts.sum(axis=1, keepdims=True)
    one_hot = np.eye(len(classes), dtype=np.float32)[labels]
    return np.where(total > 0, counts / np.where(total > 0, total, 1), one_hot).astype(np.float32)


def judged_no_face(path: Path, ids: npt.NDArray[np.str_]) -> list[str]:
    """Names of the faces that most judges call no face; empty if the file has no column `NF`.

    Args:
        path: A FER+ votes file, read without complaint by `read_votes` before.
        ids: (N,) names of the faces.
    """
    with path.open(encoding="utf-8-sig", newline="") as file:
        rows = list(csv.DictReader(file))
    if not rows or "NF" not in rows[0]:
        return []
    column = next(name for name in _FILE_COLUMNS if name in rows[0])
    found = _match_names([row[column].strip() for row in rows], ids)
    if found is None:
        return []
    against = [_given(row, "NF") > sum(_given(row, name) for name in (*_EMOTIONS, "unknown")) for row in rows]
    return [str(name) for name, row in zip(ids, found.tolist(), strict=True) if row >= 0 and against[row]]


def _given(row: Mapping[str, str | None], column: str) -> float:
    """The votes in a column; none where it is absent or holds no number."""
    try:
        return float(row.get(column) or 0)
    except ValueError:
        return 0.0


def _columns(classes: Sequence[str], class_map: ClassMap | None) -> dict[str, int]:
    """Index of the class that each column of votes counts for; a column that is missing counts for none."""
    found = {}
    for emotion in _EMOTIONS:
        name: str | None = canonical_expression(emotion) or emotion
        if class_map is not None and name in class_map.source:
            name = class_map.becomes(name)
        if name is not None and name in classes:
            found[emotion] = list(classes).index(name)
    return found


def _read(path: Path, columns: Mapping[str, int], classes: int) -> _Votes:
    if not path.exists():
        raise InputError(f"Expected `votes` to be a FER+ csv, but found no such file: {path}.")
    check_size(path, TABLE_BYTES, "a FER+ csv")
    with path.open("rb") as stream:
        header, *rows = read_csv(stream, str(path))
    file = next((name for name in _FILE_COLUMNS if name in header), None)
    if file is None or not {"Usage", *_EMOTIONS} <= set(header):
        raise InputError(
            f"Expected the columns `file` or `Image name`, `Usage` and {', '.join(_EMOTIONS)} in {path}, "
            f"but got {', '.join(header)}."
        )
    if not rows:
        raise InputError(f"Expected votes in {path}, but it has no data rows.")
    return _Votes(
        files=[row[header.index(file)].strip() for row in rows],
        splits=[_USAGES.get(row[header.index("Usage")].strip(), "") for row in rows],
        counts=_counts(path, header, rows, columns, classes),
    )


def _counts(
    path: Path, header: Sequence[str], rows: Sequence[Sequence[str]], columns: Mapping[str, int], classes: int
) -> npt.NDArray[np.float32]:
    counts = np.zeros((len(rows), classes), dtype=np.float32)
    for emotion, index in columns.items():
        column = header.index(emotion)
        try:
            own = np.array([float(row[column]) for row in rows], dtype=np.float32)
        except ValueError as error:
            raise InputError(f"Expected counts in the column `{emotion}` of {path}, but got: {error}.") from error
        if (own < 0).any() or not np.isfinite(own).all():
            raise InputError(f"Expected counts of at least 0 in {path}, but got {own.min()}.")
        counts[:, index] += own
    return counts


def _match_names(
    files: Sequence[str],
    ids: npt.NDArray[np.str_],
    usages: Sequence[str] = (),
    splits: npt.NDArray[np.str_] | Sequence[str] = (),
) -> npt.NDArray[np.int64] | None:
    """Row of each face by its path, else by its file name where that is unique; -1 for none.

    A file name that several faces have is that of the only one in the row's split, if the splits are given. None if no
    face has a row.
    """
    bases = [file.rpartition("/")[2] for file in files]
    seen = Counter(bases)
    row_of = {base: row for row, base in enumerate(bases) if base and seen[base] == 1}
    row_of |= {file: row for row, file in enumerate(files) if file}
    own = [name.rpartition("/")[2] for name in ids.tolist()]
    parts = [str(split) for split in splits] or [""] * len(own)
    faces, in_split = Counter(own), Counter(zip(own, parts, strict=True))

    def row(name: str, base: str, split: str) -> int:
        found = row_of.get(base, -1)
        alone = faces[base] == 1 or (usages and found >= 0 and usages[found] == split and in_split[base, split] == 1)
        return row_of.get(name, found if alone else -1)

    rows = np.array([row(*one) for one in zip(ids.tolist(), own, parts, strict=True)], dtype=np.int64)
    return rows if (rows >= 0).any() else None


def _match_rows(
    votes: _Votes,
    ids: npt.NDArray[np.str_],
    splits: npt.NDArray[np.str_],
    labels: npt.NDArray[np.int64],
    whole: int,
) -> npt.NDArray[np.int64] | None:
    """Row by row, if the faces come from a table of as many rows with the same splits, and votes and labels agree."""
    numbers = [name.rpartition("_")[2] for name in ids.tolist()]
    if len(votes.files) != whole or not all(number.isdecimal() for number in numbers):
        return None
    rows = np.array(numbers, dtype=np.int64)
    if (np.diff(rows, prepend=-1) < 1).any() or rows[-1] >= whole or [votes.splits[r] for r in rows] != splits.tolist():
        return None
    counts = votes.counts[rows]
    voted = counts.sum(axis=1) > 0
    agreement = (counts.argmax(axis=1) == labels)[voted].mean() if voted.any() else 0.0
    # Votes and labels of FER2013 agree on two faces in three; rows in another order agree on one in five.
    if voted.sum() >= _ENOUGH_TO_JUDGE and agreement < _LEAST_AGREEMENT:
        return None
    return rows
