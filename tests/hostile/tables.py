"""Tables of faces and of votes that nobody can read."""

from __future__ import annotations

import gzip
from collections.abc import Callable, Sequence
from pathlib import Path

from hostile.case import Case, csv_text, describe, png

_HEAD = b"emotion,pixels,Usage\n"


def _cell(row: int, column: int, text: str) -> bytes:
    return csv_text(lambda rows: rows[row].__setitem__(column, text))


def _only(*usages: str) -> bytes:
    return csv_text(lambda rows: rows.__setitem__(slice(None), [r for r in rows if r[2] in usages]))


def _one_class(rows: list[list[str]]) -> None:
    for row in rows:
        row[0] = "3"


def _swapped(rows: list[list[str]]) -> None:
    for row in rows:
        row[2] = "PublicTest" if row[2] == "Training" else "Training"


def _long_line(path: Path) -> None:
    with path.open("wb") as file:  # half a gigabyte that takes no room
        file.write(_HEAD + b"0,")
        file.truncate(500 << 20)


def _bomb(line: bytes) -> Callable[[Path], object]:
    def make(path: Path) -> None:
        piece = gzip.compress(line * ((1 << 20) // len(line)))
        path.write_bytes(gzip.compress(_HEAD) + piece * 130)

    return make


def _votes(text: bytes) -> Callable[[Path], Sequence[str]]:
    def make(folder: Path) -> Sequence[str]:
        (folder / "faces.csv").write_bytes(csv_text())
        (folder / "votes.csv").write_bytes(text)
        return ("data", "audit", "faces.csv", "--votes", "votes.csv")

    return make


_VOTES_HEAD = b"file,Usage,neutral,happiness,surprise,sadness,anger,disgust,fear,contempt\n"
_VOTE = b"a.png,Training,1,2,3,4,0,0,0,0\n"

TABLES = (
    Case("csv empty", describe("f.csv", b""), ("f.csv", "empty")),
    Case("csv header alone", describe("f.csv", _HEAD), ("f.csv", "no data rows")),
    Case("csv column twice", describe("f.csv", csv_text().replace(b"Usage", b"pixels,Usage", 1)),
         ("f.csv", "'pixels' stands twice")),
    Case("csv field missing", describe("f.csv", csv_text(lambda r: r[4].pop())), ("f.csv", "row 4", "3 fields")),
    Case("csv field too many", describe("f.csv", csv_text(lambda r: r[2].append("x"))), ("f.csv", "row 2", "got 4")),
    Case("csv emotion word", describe("f.csv", _cell(3, 0, "glad-ish")), ("f.csv", "row 3", "'glad-ish'")),
    Case("csv emotion number", describe("f.csv", _cell(3, 0, "71")), ("f.csv", "row 3", "'71'")),
    Case("csv emotion negative", describe("f.csv", _cell(3, 0, "-1")), ("f.csv", "row 3", "'-1'")),
    Case("csv emotion empty", describe("f.csv", _cell(3, 0, "")), ("f.csv", "row 3", "emotion")),
    Case("csv usage unknown", describe("f.csv", _cell(5, 2, "Tranig")), ("f.csv", "row 5", "'Tranig'")),
    Case("csv usage absent in a row", describe("f.csv", _cell(5, 2, "")), ("f.csv", "row 5", "Usage")),
    Case("csv pixels few", describe("f.csv", _cell(6, 1, "1 2 3")), ("f.csv", "row 6", "2304 pixels")),
    Case("csv pixel 256", describe("f.csv", csv_text(lambda r: r[6].__setitem__(1, "256" + r[6][1][1:]))),
         ("f.csv", "row 6", "'256'")),
    Case("csv pixel negative", describe("f.csv", csv_text(lambda r: r[6].__setitem__(1, "-" + r[6][1]))),
         ("f.csv", "row 6", "'-7'")),
    Case("csv pixel fraction", describe("f.csv", csv_text(lambda r: r[6].__setitem__(1, "0." + r[6][1]))),
         ("f.csv", "row 6", "'0.7'")),
    Case("csv pixel NaN", describe("f.csv", csv_text(lambda r: r[6].__setitem__(1, "nan" + r[6][1][1:]))),
         ("f.csv", "row 6", "'nan'")),
    Case("csv pixel of 5000 digits", describe("f.csv", csv_text(lambda r: r[6].__setitem__(1, "9" * 5000 + r[6][1]))),
         ("f.csv", "row 6", "0..255")),
    Case("csv is a png", describe("f.csv", png()), ("f.csv", "no layout")),
    Case("csv in UTF-16", describe("f.csv", csv_text().decode().encode("utf-16")), ("f.csv", "no layout")),
    Case("csv with NUL bytes", describe("f.csv", csv_text().replace(b"Training", b"Train\0ng", 1)), ("f.csv", "row 0")),
    Case("csv without pixels", describe("f.csv", b"emotion,Usage\n0,Training\n"), ("f.csv", "no layout")),
    Case("csv line of 500 MB", describe("f.csv", _long_line), ("f.csv", "lines of at most")),
    Case("csv of empty lines", describe("f.csv", _HEAD + b"\n" * 5000), ("f.csv", "empty lines")),
    Case("csv without validation", describe("f.csv", _only("Training")), ("f.csv", "validation split")),
    Case("csv without training", describe("f.csv", _only("PublicTest")), ("f.csv", "train split")),
    Case("csv of one class", describe("f.csv", csv_text(_one_class)), ("f.csv", "one class")),
    Case("csv with swapped splits", describe("f.csv", csv_text(_swapped)), ("f.csv", "swapped")),
    Case("gz cut", describe("f.csv.gz", gzip.compress(csv_text())[:-20]), ("f.csv.gz", "gzip")),
    Case("gz is none", describe("f.csv.gz", csv_text()), ("f.csv.gz", "gzip")),
    Case("gz bomb in one line", describe("f.csv.gz", _bomb(b"\0")), ("f.csv.gz", "lines of at most")),
    Case("gz bomb of rows", describe("f.csv.gz", _bomb(b"0," + b"0 " * 2304 + b",Training\n")),
         ("f.csv.gz", "decompression bomb")),
    Case("votes with other columns", _votes(b"a,b\n1,2\n"), ("votes.csv", "columns")),
    Case("votes empty", _votes(b""), ("votes.csv", "empty")),
    Case("votes without rows", _votes(_VOTES_HEAD), ("votes.csv", "no data rows")),
    Case("votes row short", _votes(_VOTES_HEAD + _VOTE + b"b.png,Training,1\n"), ("votes.csv", "10 fields")),
    Case("votes are words", _votes(_VOTES_HEAD + _VOTE.replace(b"3", b"many")), ("votes.csv", "many")),
    Case("votes infinite", _votes(_VOTES_HEAD + _VOTE.replace(b"3", b"1e999")), ("votes.csv", "counts")),
    Case("votes negative", _votes(_VOTES_HEAD + _VOTE.replace(b"3", b"-3")), ("votes.csv", "-3")),
    Case("votes in no encoding", _votes(_VOTES_HEAD + b"\xff\xfe"), ("votes.csv", "UTF-8")),
    Case("votes on other faces", _votes(_VOTES_HEAD + _VOTE), ("votes.csv", "matches")),
    Case("votes with a NUL and an open quote", _votes(_VOTES_HEAD + b'"\0,' * 9), ("votes.csv",)),
)  # fmt: skip
