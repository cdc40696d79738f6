"""FER+ votes: both files, both ways to match, and what is refused."""

from __future__ import annotations

import numpy as np
import pytest

from backbones.errors import InputError
from ensemble.expression import EXPRESSIONS
from pipelines.votes import judged_no_face, read_votes

HEADER = "Usage,{},neutral,happiness,surprise,sadness,anger,disgust,fear,contempt,unknown,NF"
ROWS = (
    "Training,{}train/sad/Training_7.png,4,0,0,1,3,2,0,0,0,0",
    "Training,{}train/sad/Training_8.png,0,0,0,0,0,0,0,8,1,1",
    "PublicTest,{}test/sad/PublicTest_9.png,0,5,0,0,0,0,0,5,0,0",
)
FIRST = [0.3, 0.2, 0, 0, 0.1, 0, 0.4]  # by hand: anger 3, disgust 2, sadness 1, neutral 4 of 10
ONE_HOT_SAD = [0, 0, 0, 0, 1, 0, 0]
HAPPY = [0, 0, 0, 1, 0, 0, 0]


def write(path, column="file", rows=ROWS, prefix=""):
    path.write_text("\n".join([HEADER.format(column), *(row.format(prefix) for row in rows)]) + "\n")
    return path


def read(path, ids, splits=None, classes=EXPRESSIONS):
    labels = np.full(len(ids), 4, dtype=np.int64)
    splits = np.array(splits or ["train"] * len(ids))
    return read_votes(path, ids=np.array(ids), labels=labels, splits=splits, classes=classes)


@pytest.mark.parametrize("column", ["file", "Image name"])
@pytest.mark.parametrize("folder", ["train/sad/", "elsewhere/", ""])
def test_rows_match_by_path_or_file_name(column, folder, tmp_path):
    path = write(tmp_path / "votes.csv", column)
    votes = read(path, [f"{folder}Training_8.png", f"{folder}Training_7.png", f"{folder}Training_1.png"])
    assert votes.dtype == np.float32
    np.testing.assert_allclose(votes, [ONE_HOT_SAD, FIRST, ONE_HOT_SAD], atol=1e-6)


def test_rows_match_a_classic_table_by_position(tmp_path):
    path = write(tmp_path / "fer2013new.csv", "Image name", [row.replace("{}", "fer") for row in ROWS])
    ids, splits = ["Training_0", "Training_1", "PublicTest_2"], ["train", "train", "validation"]
    np.testing.assert_allclose(read(path, ids, splits), [FIRST, ONE_HOT_SAD, HAPPY], atol=1e-6)


def test_classes_of_the_data_are_kept(tmp_path):
    votes = read(write(tmp_path / "votes.csv"), ["PublicTest_9.png"], classes=("happy", "sad", "contempt", "x", "y"))
    np.testing.assert_allclose(votes, [[0.5, 0, 0.5, 0, 0]])


@pytest.mark.parametrize(
    ("ids", "splits"),
    [
        (["Training_0", "Training_1"], ["train", "train"]),
        (["Training_0", "Training_1", "PublicTest_2"], ["train", "validation", "validation"]),
        (["a.png", "b.png", "c.png"], ["train", "train", "validation"]),
    ],
    ids=["other_count", "other_usage", "no_table"],
)
def test_votes_on_other_faces_are_refused(ids, splits, tmp_path):
    with pytest.raises(InputError, match=r"but none of its 3 rows .* matches one of the . faces"):
        read(write(tmp_path / "votes.csv"), ids, splits)


def test_a_table_in_another_order_is_refused(tmp_path):
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 7, 200)
    counts = np.eye(10, dtype=int)[[(4, 5, 6, 1, 3, 2, 0)[k] for k in labels]] * 10
    rows = ["Training,fer.png," + ",".join(map(str, row)) for row in counts]
    path = write(tmp_path / "votes.csv", rows=rows)
    given = {"ids": np.array([f"Training_{i}" for i in range(200)]), "splits": np.array(["train"] * 200)}
    votes = read_votes(path, labels=labels, classes=EXPRESSIONS, **given)
    assert votes.argmax(axis=1).tolist() == labels.tolist()
    with pytest.raises(InputError, match="but none of its 200 rows"):
        read_votes(path, labels=rng.permutation(labels), classes=EXPRESSIONS, **given)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("emotion,pixels,Usage\n", r"Expected the columns `file` or `Image name`, .* but got emotion, pixels, Usage"),
        ("", r"Expected a csv with a header in .*, but it is empty"),
        (HEADER.format("file") + "\n", r"it has no data rows"),
        (HEADER.format("file") + "\nTraining,a.png,1\n", r"Expected 12 fields in .*data row 0, but got 3"),
        (HEADER.format("file") + "\nTraining,a.png,x,0,0,0,0,0,0,0,0,0\n", r"Expected counts in the column `neutral`"),
        (HEADER.format("file") + "\nTraining,a.png,-1,0,0,0,0,0,0,0,0,0\n", r"Expected counts of at least 0"),
    ],
)
def test_a_wrong_file_is_refused(text, message, tmp_path):
    path = tmp_path / "votes.csv"
    path.write_text(text)
    with pytest.raises(InputError, match=message):
        read(path, ["a.png"])


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(InputError, match=r"found no such file: .*absent\.csv"):
        read(tmp_path / "absent.csv", ["a.png"])


def test_faces_that_most_judges_call_no_face(tmp_path):
    rows = (
        "Training,{}a.png,0,0,0,0,0,0,0,0,0,10",
        "Training,{}b.png,1,0,0,0,0,0,0,3,1,5",  # five of ten are not most
        "Training,{}c.png,1,0,0,0,0,0,0,2,1,6",
    )
    path = write(tmp_path / "votes.csv", "file", rows)
    assert judged_no_face(path, np.array(["x/c.png", "b.png", "unknown.png", "a.png"])) == ["x/c.png", "a.png"]


def test_votes_without_a_column_for_no_face(tmp_path):
    path = tmp_path / "votes.csv"
    path.write_text("\n".join([HEADER.removesuffix(",NF"), "Training,a.png,4,0,0,1,3,2,0,0,0"]).format("file") + "\n")
    assert judged_no_face(path, np.array(["a.png"])) == []


def test_shares_are_votes_as_well(tmp_path):
    path = write(tmp_path / "votes.csv", "file", ("Training,{}a.png,0.2,0.1,0,0,0,0,0,0.5,0.2,0",))
    found = read_votes(
        path, ids=np.array(["a.png"]), labels=np.array([4]), splits=np.array(["train"]), classes=EXPRESSIONS
    )
    np.testing.assert_allclose(found, [[0, 0, 0, 1 / 3, 0, 0, 2 / 3]], rtol=1e-6)


def test_a_bare_name_is_of_no_face_where_two_have_it(tmp_path):
    path = write(
        tmp_path / "votes.csv", "file", ("Training,{}a.png,9,0,0,0,0,0,0,0,0,0", "Training,{}b.png,9,0,0,0,0,0,0,0,0,0")
    )
    ids = np.array(["x/a.png", "y/a.png", "x/b.png"])
    found = read_votes(path, ids=ids, labels=np.array([4, 4, 4]), splits=np.array(["train"] * 3), classes=EXPRESSIONS)
    assert found.argmax(axis=1).tolist() == [4, 4, 6]


def test_an_empty_cell_is_no_judge(tmp_path):
    path = write(
        tmp_path / "votes.csv", "file", ("Training,{}a.png,1,0,0,0,0,0,0,0,0,", "Training,{}b.png,1,0,0,0,0,0,0,0,,9")
    )
    assert judged_no_face(path, np.array(["a.png", "b.png"])) == ["b.png"]
