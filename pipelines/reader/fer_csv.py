"""The classic FER2013 table: `emotion,pixels,Usage`, one face a row, its pixels spelt out."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Container, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, ClassVar

import numpy as np
import numpy.typing as npt

from backbones.errors import InputError
from backbones.limits import LINE_BYTES, ROWS
from backbones.parameter import Count, Fraction, Natural
from ensemble.expression import EXPRESSIONS, class_index
from pipelines.csv_file import BOM, find_csv, open_csv, split_line, table_lines
from pipelines.fingerprint import digest_file
from pipelines.home_path import expanded
from pipelines.listing import Listing
from pipelines.pixel_text import parse_pixels
from pipelines.readers import READERS, require_source
from pipelines.skip_report import SkipReport
from pipelines.split import split_faces

__all__ = ["FerCsv"]

_SPLITS = {"training": "train", "publictest": "validation", "privatetest": "test"}
_COLUMNS = {"emotion", "pixels"}
_NAMES = (*EXPRESSIONS, "contempt")
"""An eighth class stands in some tables of this layout. It goes by its name: no number is its own everywhere."""
_BLOCK = 64


_Bad = Callable[[int, InputError], None]
"""Told of a row that cannot be read, and why; raises, or takes note."""

_Face = tuple[int, int, str]
"""Data row, label, usage."""


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

    def rows(self, bad: _Bad) -> Iterator[tuple[int, list[bytes]]]:
        """Yield (0-based data row, fields); `bad` is told of rows with too few or too many fields."""
        for row, line in enumerate(table_lines(self.file, self.place)):
            if row == ROWS:
                raise InputError(f"Expected at most {ROWS:,} rows in {self.place}, but got more.")
            fields = split_line(line)
            if len(fields) == len(self.columns):
                yield row, fields
            else:
                bad(row, InputError(f"Expected {len(self.columns)} fields in {self.at(row)}, but got {len(fields)}."))

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
        path = expanded(source)
        return path.exists() and find_csv(path, _COLUMNS) is not None

    def fingerprint(self, source: Path | str) -> str:
        """sha256 of the file, or of the csv in a folder."""
        path = require_source(source)
        return digest_file(path / _find(path) if path.is_dir() else path)

    def scan(self, source: Path | str, skipped: SkipReport | None = None) -> Listing:
        """Read labels and splits of all rows; the pixels only if bad rows are to be skipped.

        Raises:
            InputError: A row has an unknown emotion or usage, or lacks a field.
        """
        passed: set[int] = set()
        with _open_table(require_source(source)) as table:
            bad = _refuse if skipped is None else _taking_note(table, passed, skipped)
            faces = list(self._faces(table, bad, pixels=skipped is not None))
        if not faces:
            raise InputError(f"Expected at least one face in {table.place}, but it has no data rows that can be read.")
        if any(usage for _, _, usage in faces):
            faces = [face for face in faces if face[2] or bad(face[0], _unknown_usage("", table.at(face[0])))]
        return self._listing(faces, frozenset(passed))

    def decode(self, source: Path | str, listing: Listing) -> Iterator[npt.NDArray[np.uint8]]:
        """Yield blocks of faces in the order of the rows."""
        with _open_table(require_source(source)) as table:
            column = table.columns["pixels"]
            fields: list[bytes] = []
            places: list[str] = []
            for row, values in table.rows(_refuse_but(listing.passed_over)):
                if row in listing.passed_over:
                    continue
                fields.append(values[column])
                places.append(table.at(row))
                if len(fields) == _BLOCK:
                    yield parse_pixels(fields, size=self.size, places=places)
                    fields.clear()
                    places.clear()
            if fields:
                yield parse_pixels(fields, size=self.size, places=places)

    def _faces(self, table: _Table, bad: _Bad, *, pixels: bool) -> Iterator[_Face]:
        """Yield (row, label, usage) of the rows that can be read."""
        emotion, column, usage = table.columns["emotion"], table.columns["pixels"], table.columns.get("usage")
        label_of: dict[bytes, int] = {}
        for row, fields in table.rows(bad):
            word = fields[emotion]
            try:
                if word not in label_of:
                    label_of[word] = _label(word, table.at(row))
                used = "" if usage is None else _usage(fields[usage], table.at(row))
                # Far too few pixels are refused before millions of such rows are listed.
                if pixels or len(fields[column]) < 2 * self.size**2 - 1:
                    parse_pixels([fields[column]], size=self.size, places=[table.at(row)])
            except InputError as error:
                bad(row, error)
            else:
                yield row, label_of[word], used

    def _listing(self, faces: Sequence[_Face], passed_over: frozenset[int]) -> Listing:
        labels = np.array([label for _, label, _ in faces], dtype=np.int64)
        usages = [usage for _, _, usage in faces]
        if any(usages):
            splits = np.array([_SPLITS[usage.lower()] for usage in usages], dtype=np.str_)
        else:
            splits = split_faces(labels, validation=self.validation, test=self.test, seed=self.seed)
        return Listing(
            ids=np.array([f"{usage or 'face'}_{row}" for row, _, usage in faces], dtype=np.str_),
            labels=labels,
            splits=splits,
            classes=_NAMES if labels.max() == len(EXPRESSIONS) else EXPRESSIONS,
            shape=(self.size, self.size),
            passed_over=passed_over,
        )


@contextmanager
def _open_table(path: Path) -> Iterator[_Table]:
    name = _find(path)
    with open_csv(path, name) as file:
        fields = split_line(file.readline(LINE_BYTES).removeprefix(BOM))
        header = [field.decode(errors="replace").lower() for field in fields]
        columns = {column: index for index, column in enumerate(header)}
        place = f"{path}/{name}" if name else str(path)
        if len(columns) < len(header):
            twice = Counter(header).most_common(1)[0][0]
            raise InputError(f"Expected every column once in {place}, but {twice!r} stands twice.")
        yield _Table(file, place, columns)


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


def _usage(word: bytes, place: str) -> str:
    usage = word.decode(errors="replace")
    if usage and usage.lower() not in _SPLITS:
        raise _unknown_usage(usage, place)
    return usage


def _unknown_usage(usage: str, place: str) -> InputError:
    return InputError(f"Expected `Usage` to be Training, PublicTest or PrivateTest in {place}, but got {usage!r}.")


def _refuse(_row: int, error: InputError) -> None:
    raise error


def _refuse_but(passed_over: Container[int]) -> _Bad:
    """Raises for every row but those found bad before."""

    def bad(row: int, error: InputError) -> None:
        if row not in passed_over:
            raise error

    return bad


def _taking_note(table: _Table, passed: set[int], skipped: SkipReport) -> _Bad:
    def bad(row: int, error: InputError) -> None:
        passed.add(row)
        skipped.add(table.at(row), str(error))

    return bad
