"""Probabilities of other tools: matched to faces by name, whatever their order, and refused where they are none."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from backbones.errors import InputError
from ensemble.expression import EXPRESSIONS
from ensemble.posterior_table import PosteriorTable, check_ids, mapped_columns, matching_columns

CLASSES = ("happy", "sad")


def table(ids: list[str], first: list[float] | None = None) -> PosteriorTable:
    p = np.array([first if first is not None else np.linspace(0.1, 0.9, len(ids))])
    return PosteriorTable.checked("t.csv", ids, dict(zip(CLASSES, (p, 1 - p), strict=True)))


@given(st.permutations(range(8)), st.booleans())
def test_the_order_of_rows_and_their_folders_do_not_matter(order: list[int], short: bool) -> None:
    wanted = [f"validation/{n}.png" for n in range(8)]
    given_ids = [f"{n}.png" if short else wanted[n] for n in order]
    values = np.linspace(0.1, 0.9, 8)
    shuffled = table(given_ids, values[order].tolist())
    np.testing.assert_array_equal(shuffled.of(wanted, "faces"), table(wanted, values.tolist()).of(wanted, "faces"))


@pytest.mark.parametrize(
    ("ids", "wanted", "rows"),
    [
        (["a/1.png", "b/1.png"], ["b/1.png", "a/1.png"], [1, 0]),
        (["1.png"], ["a/1.png", "b/1.png"], [-1, -1]),  # which of the two is meant?
        (["a/1.png", "b/1.png"], ["c/1.png"], [-1]),
        (["a/1.png"], ["1.png"], [0]),
        (["1.png", "a/1.png"], ["a/1.png"], [1]),
    ],
)
def test_a_file_name_counts_only_where_it_is_unique(ids: list[str], wanted: list[str], rows: list[int]) -> None:
    assert table(ids).rows(wanted).tolist() == rows


def test_rounding_is_put_right_and_nothing_else() -> None:
    columns = {"happy": np.array([[0.2495]]), "sad": np.array([[0.7500]])}
    np.testing.assert_allclose(PosteriorTable.checked("t", ["a"], columns).probs.sum(axis=-1), 1, atol=1e-15)
    with pytest.raises(InputError, match=r"row 1 \('a'\) sum to 0\.998\. If they are logits"):
        PosteriorTable.checked("t", ["a"], columns | {"happy": np.array([[0.2480]])})


@pytest.mark.parametrize("value", [np.nan, np.inf, -0.1])
def test_what_is_no_probability_is_named_with_its_row(value: float) -> None:
    with pytest.raises(InputError, match=r"Expected probabilities in t\.csv, but got .* for `happy` in row 2 \('b'\)"):
        table(["a", "b", "c"], [0.5, value, -1.0])


def test_missing_faces_are_counted_and_shown() -> None:
    with pytest.raises(InputError) as caught:
        table(["a", "x"]).of(["a", "b", "c", "d", "e"], "validation faces")
    assert "each of the 5 validation faces in t.csv, but 4 are missing: 'b', 'c', 'd', …" in str(caught.value)
    assert "are of 'x'" in str(caught.value)


def test_rows_of_other_splits_are_counted_and_others_refused() -> None:
    others = {"train": ["train/b", "train/c"], "test": ["d", "e"]}
    assert table(["a", "b", "c", "d"]).beyond(["a"], others) == {"train": 2, "test": 1}
    assert table(["a"]).beyond(["a"], others) == {}
    with pytest.raises(InputError, match=r"but 1 are of none: 'z', the first in row 2 \('z'\)\. Remove them"):
        table(["a", "z", "b"]).beyond(["a"], others)


def test_every_face_is_named_once() -> None:
    with pytest.raises(InputError, match=r"but got 'a' in the rows 1 and 3"):
        check_ids("t.csv", ["a", "b", "a"])
    with pytest.raises(InputError, match="row 2 has none"):
        check_ids("t.csv", ["a", ""])
    with pytest.raises(InputError, match="it has no rows"):
        check_ids("t.csv", [])


def test_columns_are_found_by_their_aliases_in_any_order() -> None:
    names = ["Neutral", "ANGER", "su", "happiness", "sadness", "disgusted", "fear"]
    found = matching_columns("t.csv", names, EXPRESSIONS, exact=True)
    assert list(found) == list(EXPRESSIONS)
    assert list(found.values()) == ["ANGER", "disgusted", "fear", "happiness", "sadness", "su", "Neutral"]
    assert matching_columns("t.csv", ["x", "sad", "happy"], CLASSES, exact=False) == {"happy": "happy", "sad": "sad"}


@pytest.mark.parametrize(
    ("names", "exact", "message"),
    [
        (["happy", "sad", "contempt"], True, "Expected the classes happy, sad in t.csv, but got 'contempt'"),
        (["happy", "sad", "contempt"], True, "`classes: {contempt: null}` beside `file` leaves it out"),
        (["happy", "hapy", "sad"], True, "Did you mean `happy`?"),
        (["happy"], False, "Expected the classes happy, sad in t.csv, but sad is missing"),
        (["other"], False, "but happy, sad are missing"),
        (["sad", "happy", "joy"], True, "'happy' and 'joy' both mean happy"),
    ],
)
def test_wrong_classes_are_refused(names: list[str], exact: bool, message: str) -> None:
    with pytest.raises(InputError) as caught:
        matching_columns("t.csv", names, CLASSES, exact=exact)
    assert message in str(caught.value)


def test_columns_that_are_no_class_are_ignored_unless_they_are_mapped() -> None:
    names = ["path", "Joy", "contempt", "sadness", "score"]
    found = mapped_columns("t.csv", names, CLASSES, {"contempt": "joy"}, exact=False)
    assert (found.source, found.index) == (("Joy", "contempt", "sadness"), (0, 0, 1))
    with pytest.raises(InputError, match=r"Expected the classes happy, sad in t\.csv, but got 'path'"):
        mapped_columns("t.csv", names, CLASSES, {"contempt": "joy"}, exact=True)
