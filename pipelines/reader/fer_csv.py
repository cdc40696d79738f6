"""The classic FER2013 table: `emotion,pixels,Usage`, one face a row, its pixels spelt out."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, ClassVar

import numpy as np
import numpy.typing as npt

from backbones.errors import InputError
from backbones.parameter import Count, Fraction, Natural
from ensemble.expression import EXPRESSIONS, class_index
from pipelines.csv_file import find_csv, open_csv, split_line
from pipelines.fingerprint import digest_file
from pipelines.listing import Listing
from pipelines.pixel_text import parse_pixels
from pipelines.readers import READERS, require_source
from pipelines.split import split_faces

__all__ = ["FerCsv"]

_SPLITS = {"training": "train", "publictest": "validation", "privatetest": "test"}
_COLUMNS = {"emotion", "pixels"}
_NAMES = (*EXPRESSIONS, "contempt")
"""An eighth class stands in some tables of this layout. It goes by its name: no number is its own everywhere."""
_BLOCK = 64


@dataclass(frozen=True)
class _Table:
    """An open csv behind its header.

    Attributes:
        file: Stream of the data rows.
        place: How to name it in messages.
        columns: Index of each column by its lower-case name.
    """

    file: IO[bytes]
    place: str
    columns: dict[str, int]

    def rows(self) -> Iterator[tuple[int, list[bytes]]]:
        """Yield (0-based data row, fields)."""
        row = 0
        for line in self.file:
            fields = split_line(line)
            if fields == [b""]:
                continue
            if len(fields) != len(self.columns):
                raise InputError(f"Expected {len(self.columns)} fields in {self.at(row)}, but got {len(fields)}.")
            yield row, fields
            row += 1

    def at(self, row: int) -> str:
        """The place of a data row, for messages."""
        return f"{self.place}, data row {row}"


@READERS.register("fer_csv")
class FerCsv:
    """FER csv `emotion,pixels,Usage`: plain, .csv.gz, or in a zip, a tar or a folder; also Kaggle's `icml_face_data`.

    Args:
        validation: Share of the faces that becomes the validation split, where the table has no `Usage`.
        test: Share that becomes the test split, where the table has no `Usage`.
        seed: Another seed, another division.
        size: Side of the faces in pixels.
    """

    fallback: ClassVar[bool] = False

    def __init__(
        self, *, validation: Fraction = 0.1, test: Fraction = 0.1, seed: Natural = 0, size: Count = 48
    ) -> None:
        self.validation = validation
        self.test = test
        self.seed = seed
        self.size = size

    @classmethod
    def claims(cls, source: Path | str) -> bool:
        """Whether the source is, or holds, a csv with the columns `emotion` and `pixels`."""
        path = Path(source).expanduser()
        return path.exists() and find_csv(path, _COLUMNS) is not None

    def fingerprint(self, source: Path | str) -> str:
        """sha256 of the file, or of the csv in a folder."""
        path = require_source(source)
        return digest_file(path / _find(path) if path.is_dir() else path)

    def scan(self, source: Path | str) -> Listing:
        """Read labels and splits of all rows.

        Raises:
            InputError: A row has an unknown emotion or usage, or lacks a field.
        """
        labels: list[int] = []
        usages: list[bytes] = []
        label_of: dict[bytes, int] = {}
        with _open_table(require_source(source)) as table:
            emotion, usage = table.columns["emotion"], table.columns.get("usage")
            for row, fields in table.rows():
                word = fields[emotion]
                if word not in label_of:
                    label_of[word] = _label(word, table.at(row))
                labels.append(label_of[word])
                usages.append(fields[usage] if usage is not None else b"")
            place = table.place
        if not labels:
            raise InputError(f"Expected at least one face in {place}, but it has no data rows.")
        return self._listing(np.array(labels, dtype=np.int64), usages, place)

    def decode(self, source: Path | str, listing: Listing) -> Iterator[npt.NDArray[np.uint8]]:
        """Yield blocks of faces in the order of the rows."""
        with _open_table(require_source(source)) as table:
            column = table.columns["pixels"]
            fields: list[bytes] = []
            places: list[str] = []
            for row, values in table.rows():
                fields.append(values[column])
                places.append(table.at(row))
                if len(fields) == _BLOCK:
                    yield parse_pixels(fields, size=self.size, places=places)
                    fields.clear()
                    places.clear()
            if fields:
                yield parse_pixels(fields, size=self.size, places=places)

    def _listing(self, labels: npt.NDArray[np.int64], usages: list[bytes], place: str) -> Listing:
        names = [usage.decode(errors="replace") for usage in usages]
        if any(names):
            splits = np.array([_split(name, place, row) for row, name in enumerate(names)], dtype=np.str_)
        else:
            names = ["face"] * len(names)
            splits = split_faces(labels, validation=self.validation, test=self.test, seed=self.seed)
        return Listing(
            ids=np.array([f"{name}_{row}" for row, name in enumerate(names)], dtype=np.str_),
            labels=labels,
            splits=splits,
            classes=_NAMES if labels.max() == len(EXPRESSIONS) else EXPRESSIONS,
            shape=(self.size, self.size),
        )


@contextmanager
def _open_table(path: Path) -> Iterator[_Table]:
    name = _find(path)
    with open_csv(path, name) as file:
        header = [field.decode(errors="replace").lower() for field in split_line(file.readline())]
        columns = {column.removeprefix("\ufeff"): index for index, column in enumerate(header)}
        yield _Table(file, f"{path}/{name}" if name else str(path), columns)


def _find(path: Path) -> str:
    name = find_csv(path, _COLUMNS)
    if name is None:
        raise InputError(f"Expected a csv with the columns `emotion,pixels,Usage` in {path}, but found none.")
    return name


def _label(word: bytes, place: str) -> int:
    name = word.decode(errors="replace")
    try:
        return class_index(name, _NAMES)
    except InputError as error:
        raise InputError(
            f"Expected `emotion` in 0..{len(EXPRESSIONS) - 1} in {place}, but got {name!r}. "
            "The names of expressions will do, too, and `contempt`."
        ) from error


def _split(usage: str, place: str, row: int) -> str:
    split = _SPLITS.get(usage.lower())
    if split is None:
        raise InputError(
            f"Expected `Usage` to be Training, PublicTest or PrivateTest in {place}, data row {row}, but got {usage!r}."
        )
    return split
