"""Posterior files: four formats that say the same, the project's own files, and one clear message for each mistake."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from pyarrow import parquet

from backbones.errors import InputError
from ensemble.bank import save_posteriors
from ensemble.expression import EXPRESSIONS
from ensemble.predictions import Predictions
from pipelines.posterior_file import read_posterior_file
from pipelines.prediction_file import PredictionWriter, prediction_frame

IDS = ["faces/a.png", "faces/b.png", "007"]
PROBS = np.random.default_rng(0).dirichlet(np.ones(7), size=3)
ORDER = (6, 0, 3, 1, 5, 4, 2)
"""Columns in another order than the data's classes."""


def records(prefix: str = "p_") -> list[dict[str, Any]]:
    return [
        {"note": "x,y", "id": name, **{f"{prefix}{EXPRESSIONS[k]}": float(row[k]) for k in ORDER}}
        for name, row in zip(IDS, PROBS, strict=True)
    ]


def write(path: Path, rows: list[dict[str, Any]]) -> Path:
    if path.suffix == ".csv":
        with path.open("w", newline="") as file:
            writer = csv.DictWriter(file, list(rows[0]))
            writer.writeheader()
            writer.writerows(rows)
    elif path.suffix == ".jsonl":
        path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    else:
        parquet.write_table(pa.Table.from_pylist(rows), path)
    return path


@pytest.mark.parametrize("name", ["p.csv", "p.jsonl", "p.parquet"])
@pytest.mark.parametrize("prefix", ["p_", ""])
def test_tables_say_the_same_in_every_format(tmp_path: Path, name: str, prefix: str) -> None:
    file = read_posterior_file(write(tmp_path / name, records(prefix)))
    assert list(file.ids) == IDS
    np.testing.assert_array_equal(file.table(EXPRESSIONS).probs, PROBS[None] / PROBS.sum(axis=1)[None, :, None])


@pytest.mark.parametrize("prefix", ["p_", ""])
def test_other_classes_are_mapped_where_the_rows_still_sum_to_1(tmp_path: Path, prefix: str) -> None:
    six = np.delete(EXPRESSIONS, 6).tolist()
    names = [f"{prefix}{e}" for e in EXPRESSIONS]
    rows = [
        {"note": "x", "id": name, **dict(zip(names, own, strict=True))}
        for name, own in zip(IDS, PROBS.tolist(), strict=True)
    ]
    file = read_posterior_file(write(tmp_path / "p.csv", rows))
    left_out = PROBS[:, :6] / PROBS[:, :6].sum(axis=1, keepdims=True)
    np.testing.assert_allclose(file.table(six, {"calm": None}).probs, left_out[None], rtol=1e-12)
    merged = PROBS[:, :6] + PROBS[:, 6:] * np.eye(6)[4]
    np.testing.assert_allclose(file.table(six, {"neutral": "sad"}).probs, merged[None], rtol=1e-12)
    with pytest.raises(InputError, match=r"name classes of .*p\.csv, but got 'contempt'"):
        file.table(six, {"contempt": None})
    cut = read_posterior_file(
        write(tmp_path / "cut.csv", [{k: v for k, v in r.items() if "sad" not in k} for r in rows])
    )
    with pytest.raises(InputError, match="sad has none: it knows" if prefix else "sad has none"):
        cut.table(six, {"neutral": None})
    with pytest.raises(InputError, match="Expected probabilities that sum to 1 over angry"):
        cut.table(six[:4], {"neutral": None, "surprise": None})


def test_arrays_of_views_are_mapped_view_by_view(tmp_path: Path) -> None:
    probs = np.stack([PROBS, PROBS[::-1]])
    np.savez(tmp_path / "p.npz", ids=IDS, probs=probs, classes=list(EXPRESSIONS))
    table = read_posterior_file(tmp_path / "p.npz").table(EXPRESSIONS[:6], {"neutral": None})
    np.testing.assert_allclose(table.probs, probs[..., :6] / probs[..., :6].sum(axis=-1, keepdims=True), rtol=1e-12)


@pytest.mark.parametrize("views", [0, 2])
def test_arrays_with_and_without_views(tmp_path: Path, views: int) -> None:
    probs = np.stack([PROBS, PROBS[::-1]]) if views else PROBS
    classes = [EXPRESSIONS[k] for k in ORDER]
    np.savez(tmp_path / "p.npz", ids=IDS, probs=probs[..., ORDER], classes=classes)
    table = read_posterior_file(tmp_path / "p.npz").table(EXPRESSIONS)
    np.testing.assert_allclose(table.probs, probs.reshape(-1, 3, 7), rtol=1e-15)


def test_a_posterior_bank_is_taken(tmp_path: Path) -> None:
    save_posteriors(
        tmp_path / "p.npz", classes=EXPRESSIONS, ids={"test": ["t"], "validation": IDS},
        probs={"test": PROBS[None, :1], "validation": np.stack([PROBS, PROBS[::-1]])},
    )  # fmt: skip
    file = read_posterior_file(tmp_path / "p.npz")
    assert (list(file.ids), file.table(EXPRESSIONS).probs.shape) == (IDS, (2, 3, 7))


@pytest.mark.parametrize("name", ["p.csv", "p.jsonl", "p.parquet"])
def test_own_prediction_files_are_taken_faces_of_one_photo_apart(tmp_path: Path, name: str) -> None:
    predictions = Predictions(ids=np.array(["a", "b", "b#1"]), probs=PROBS, classes=EXPRESSIONS)
    with PredictionWriter(tmp_path / name) as writer:
        writer.write(prediction_frame(predictions, images=["a", "b", "b"], faces=[0, 0, 1]))
    file = read_posterior_file(tmp_path / name)
    assert list(file.ids) == ["a", "b", "b#1"]
    np.testing.assert_allclose(file.table(EXPRESSIONS).probs[0], PROBS, atol=1e-5)


def changed(**cells: Any) -> list[dict[str, Any]]:
    rows = records()
    rows[1] |= cells
    return rows


@pytest.mark.parametrize("name", ["p.csv", "p.jsonl"])
@pytest.mark.parametrize(
    ("rows", "message"),
    [
        (changed(id=IDS[0]), "Expected every face once in {path}, but got 'faces/a.png' in the rows 1 and 2"),
        (changed(id=""), "Expected the name of a face in every row of {path}, but row 2 has none"),
        (changed(p_sad="many"), "Expected numbers in the column of `sad` in {path}, but got 'many' in row 2"),
        (changed(p_sad=""), "Expected numbers in the column of `sad` in {path}, but got '' in row 2 ('faces/b.png')"),
        (changed(p_sad="nan"), "Expected probabilities in {path}, but got nan for `sad` in row 2 ('faces/b.png')"),
        (changed(p_sad=-0.2), "Expected probabilities in {path}, but got -0.2 for `sad` in row 2 ('faces/b.png')"),
        (changed(p_sad=3.5), "Expected probabilities that sum to 1 over"),
        ([{"p_other": 0.0, **row} for row in records()], "Expected the classes angry, disgust"),
        ([{k: v for k, v in row.items() if k != "p_sad"} for row in records()], "but sad is missing"),
        ([{"p_joy": 0.0, **row} for row in records()], "'joy' and 'happy' both mean happy"),
        (
            [{k: v for k, v in row.items() if k != "id"} for row in records()],
            "Expected a column `id`, `file` or `image`",
        ),
    ],
)
def test_table_of_mistakes(tmp_path: Path, name: str, rows: list[dict[str, Any]], message: str) -> None:
    path = write(tmp_path / name, rows)
    with pytest.raises(InputError) as caught:
        read_posterior_file(path).table(EXPRESSIONS)
    assert message.format(path=path) in str(caught.value)


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("p.csv", b"", "it is empty"),
        ("p.csv", b"id,p_sad,p_happy\n", "it has no rows"),
        ("p.csv", b"id,p_sad,p_happy\na,0.5\n", "Expected 3 fields in"),
        ("p.csv", b"id,p_sad,p_sad\na,0.5,0.5\n", "the column 'p_sad' stands twice"),
        ("p.csv", b"\xff\xfe\x00", "Expected a csv in UTF-8"),
        ("p.jsonl", b'{"id": "a"\n', "cannot read it"),
        ("p.jsonl", b"[1]\n", "row 1 is no mapping"),
        ("p.parquet", b"PAR1 nothing", "cannot read it"),
        ("p.npz", b"PK nothing", "cannot read it"),
        ("p.txt", b"", "ends in .csv, .jsonl, .parquet, .npz"),
    ],
)
def test_unreadable_files_are_told(tmp_path: Path, name: str, content: bytes, message: str) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(InputError) as caught:
        read_posterior_file(tmp_path / name)
    assert message in str(caught.value)
    assert name in str(caught.value)


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"ids": IDS, "probs": PROBS}, "it lacks 'classes"),
        ({"ids": IDS[:2], "probs": PROBS, "classes": EXPRESSIONS}, "of shape (2, 7) or (views, 2, 7)"),
        ({"ids": IDS, "probs": PROBS[0], "classes": EXPRESSIONS}, "but got (7,)"),
        ({"ids": [IDS], "probs": PROBS, "classes": EXPRESSIONS}, "Expected `probs` of shape"),
        ({"ids": np.array([{}]), "probs": PROBS, "classes": EXPRESSIONS}, "cannot read it"),
        ({"ids": IDS, "probs": PROBS, "classes": ["sad"] * 7}, "Expected every class once"),
    ],
)
def test_wrong_arrays_are_told(tmp_path: Path, arrays: dict[str, Any], message: str) -> None:
    np.savez(tmp_path / "p.npz", **arrays)
    with pytest.raises(InputError) as caught:
        read_posterior_file(tmp_path / "p.npz")
    assert message in str(caught.value)


def test_what_can_be_told_without_the_classes_is(tmp_path: Path) -> None:
    rows = [{"id": "a", "p_x": 0.4, "p_y": 0.5}]
    with pytest.raises(InputError, match=r"sum to 0\.9"):
        read_posterior_file(write(tmp_path / "p.csv", rows)).check(None)
    bare = [{"id": "a", "x": 0.4, "y": 0.6, "age": 31}]
    file = read_posterior_file(write(tmp_path / "q.csv", bare))
    file.check(None)
    np.testing.assert_array_equal(file.table(("y", "x")).probs, [[[0.6, 0.4]]])
