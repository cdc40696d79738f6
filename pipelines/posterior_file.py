"""Reads posterior files of other tools: csv, jsonl, parquet and npz, the project's own prediction files among them.

A file is read whole and judged in two steps: what can be told without the data's classes, and the rest with them.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from backbones.errors import InputError, reason_of
from backbones.limits import PARQUET_BYTES, TABLE_BYTES, TABLE_CELLS, check_size
from ensemble.array_archive import read_arrays
from ensemble.bank import load_posteriors
from ensemble.class_map import ClassMap
from ensemble.class_meaning import Wanted
from ensemble.posterior_table import PosteriorTable, check_ids, mapped_columns, matching_columns
from pipelines.csv_table import read_csv

__all__ = ["SUFFIXES", "PosteriorFile", "read_posterior_file"]

_IDS = ("id", "file", "image")
_PREFIX = "p_"
_FACE = "face"

Table = dict[str, list[Any]]


@dataclass(frozen=True, kw_only=True)
class PosteriorFile:
    """The content of a posterior file.

    Attributes:
        path: The file.
        ids: N unique names of faces.
        columns: Numbers by class name as the file has it: (V, N) arrays, or N values of a table as they stand there.
        exact: Whether all columns are classes; otherwise some may be something else.
    """

    path: Path
    ids: Sequence[str]
    columns: Mapping[str, Any]
    exact: bool

    def table(self, classes: Sequence[str], wanted: Wanted | None = None) -> PosteriorTable:
        """The probabilities, in the order of the data's classes.

        Args:
            classes: The data's classes.
            wanted: What becomes of classes of the file. The rows sum to 1 before that.

        Raises:
            InputError: The classes are others, or numbers are no probabilities.
        """
        if not wanted:
            return self._table(matching_columns(str(self.path), self.columns, classes, exact=self.exact))
        class_map = mapped_columns(str(self.path), self.columns, classes, wanted, exact=self.exact)
        table = self._table({name: name for name in class_map.source})
        return replace(table, probs=class_map.probabilities(table.probs))

    def check(self, classes: Sequence[str] | None, wanted: Wanted | None = None) -> None:
        """Refuse what is wrong whichever the classes are, or for these classes if they are known.

        Raises:
            InputError: As from `table`.
        """
        if classes is not None:
            self.table(classes, wanted)
            return
        if wanted:
            ClassMap.of(list(self.columns), wanted, where=str(self.path))
        if self.exact:
            self._table({name: name for name in self.columns})

    def _table(self, names: Mapping[str, str]) -> PosteriorTable:
        columns = {target: self._numbers(name) for target, name in names.items()}
        return PosteriorTable.checked(str(self.path), self.ids, columns)

    def _numbers(self, name: str) -> npt.NDArray[np.float64]:
        """A column as (V, N) numbers."""
        values = self.columns[name]
        if isinstance(values, np.ndarray):
            return values
        for row, value in enumerate(values):
            if not _is_number(value):
                raise InputError(
                    f"Expected numbers in the column of `{name}` in {self.path}, but got {value!r} in row {row + 1} "
                    f"({self.ids[row]!r})."
                )
        return np.array([[float(value) for value in values]])


def read_posterior_file(path: Path) -> PosteriorFile:
    """Read a file of posteriors; its suffix decides the format.

    Tables have a column `id`, `file` or `image`, and one per class, `p_<class>` or `<class>`; a number in the column
    `face` tells the faces of one image apart, as in prediction files. Arrays are `ids` (N,), `probs` (N, K) or
    (V, N, K), and `classes` (K,), or a posterior bank.

    Raises:
        InputError: The file is of another format or damaged, has no rows, or names a face twice.
    """
    read = _READERS.get(path.suffix.lower())
    if read is None:
        raise InputError(f"Expected posteriors in a file that ends in {', '.join(SUFFIXES)}, but got `{path}`.")
    try:
        file = read(path)
    except InputError:
        raise
    except Exception as error:  # a flipped byte makes the readers of formats raise about anything
        raise InputError(f"Expected `{path}` to hold posteriors, but cannot read it: {reason_of(error)}") from error
    check_ids(str(path), file.ids)
    return file


def _csv(path: Path) -> PosteriorFile:
    with path.open("rb") as file:
        header, *rows = read_csv(file, str(path))
    return _of_table(path, {name: [row[k].strip() for row in rows] for k, name in enumerate(header)})


def _jsonl(path: Path) -> PosteriorFile:
    check_size(path, TABLE_BYTES, "a table")
    with path.open(encoding="utf-8-sig") as lines:
        rows = [json.loads(line) for line in lines if line.strip()]
    for number, row in enumerate(rows, start=1):
        if not isinstance(row, dict):
            raise TypeError(f"row {number} is no mapping")
    names = dict.fromkeys(str(name) for row in rows for name in row)
    if len(rows) * len(names) > TABLE_CELLS:
        raise ValueError(f"{len(rows):,} rows of {len(names):,} columns are too many")
    return _of_table(path, {name: [row.get(name) for row in rows] for name in names})


def _parquet(path: Path) -> PosteriorFile:
    from pyarrow import parquet

    file = parquet.ParquetFile(path)
    known = file.metadata
    size = sum(known.row_group(number).total_byte_size for number in range(known.num_row_groups))
    if known.num_rows * known.num_columns > TABLE_CELLS or size > PARQUET_BYTES:
        raise ValueError(f"{known.num_rows:,} rows of {known.num_columns:,} columns and {size:,} bytes are too many")
    return _of_table(path, file.read().to_pydict())


def _of_table(path: Path, table: Table) -> PosteriorFile:
    if not any(table.values()):
        raise InputError(f"Expected probabilities of faces in {path}, but it has no rows.")
    found = {name.strip().lower(): name for name in reversed(table)}
    key = next((found[name] for name in _IDS if name in found), None)
    if key is None:
        raise InputError(
            f"Expected a column `id`, `file` or `image` with the names of the faces in {path}, "
            f"but got {', '.join(table)}."
        )
    ids = _keys(["" if value is None else str(value).strip() for value in table[key]], table.get(_FACE, []))
    prefixed = {n.removeprefix(_PREFIX): values for n, values in table.items() if n.startswith(_PREFIX)}
    columns = prefixed or {name: values for name, values in table.items() if name != key}
    return PosteriorFile(path=path, ids=ids, columns=columns, exact=bool(prefixed))


def _keys(images: Sequence[str], numbers: Sequence[Any]) -> list[str]:
    """Names of faces from those of their images and their numbers within them, as prediction files have them."""
    if not all(str(number).isdecimal() for number in numbers):
        return list(images)
    counted = numbers or [0] * len(images)
    return [i if int(n) == 0 else f"{i}#{int(n)}" for i, n in zip(images, counted, strict=True)]


def _npz(path: Path) -> PosteriorFile:
    arrays = read_arrays(path)
    if "format" not in arrays:
        return _of_arrays(path, arrays["ids"], arrays["probs"], arrays["classes"])
    bank = load_posteriors(path)
    if not bank.splits:
        raise InputError(f"Expected probabilities of faces in {path}, but it has no split.")
    split = bank.splits.get("validation") or next(iter(bank.splits.values()))
    return _of_arrays(path, split.ids, split.probs, np.array(bank.classes))


def _of_arrays(path: Path, ids: Any, probs: Any, classes: Any) -> PosteriorFile:
    views = probs[None] if probs.ndim == 2 else probs  # (V, N, K)
    if views.ndim != 3 or not len(views) or views.shape[1:] != (ids.size, classes.size) or ids.ndim != 1:
        raise InputError(
            f"Expected `probs` of shape ({ids.size}, {classes.size}) or (views, {ids.size}, {classes.size}) in {path}, "
            f"as there are {ids.size} `ids` and {classes.size} `classes`, but got {probs.shape}."
        )
    names, numbers = [_text(name) for name in classes.tolist()], views.astype(np.float64)
    if len(set(names)) < len(names):
        raise InputError(f"Expected every class once in {path}, but got {', '.join(names)}.")
    columns = {name: numbers[..., k] for k, name in enumerate(names)}
    return PosteriorFile(path=path, ids=[_text(name) for name in ids.tolist()], columns=columns, exact=True)


def _text(value: Any) -> str:
    return value.decode() if isinstance(value, bytes) else str(value)


def _is_number(value: Any) -> bool:
    try:
        float(value)
    except (TypeError, ValueError):
        return False
    return True


_READERS = {".csv": _csv, ".jsonl": _jsonl, ".parquet": _parquet, ".npz": _npz}
SUFFIXES = tuple(_READERS)
"""File name endings that are understood."""
