"""What members without a network say of faces to predict."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from backbones.errors import InputError
from pipelines.outside_answers import named_files, outside_answers

CLASSES = ("happy", "sad")


@pytest.fixture
def file() -> Path:
    """A row of each of three faces."""
    Path("t.csv").write_text("id,p_sad,p_happy\n1.png,0.25,0.75\nx/2.png,1,0\n3.png,0,1\n")
    return Path("t.csv")


def test_answers_follow_the_faces_block_by_block(file: Path) -> None:
    answers = outside_answers(["a", "b"], {"a": file}, classes=CLASSES)
    assert (answers["a"].given, answers["b"].given) == (True, False)
    np.testing.assert_array_equal(answers["a"](["y/2.png", "1.png"]), [[0, 1], [0.75, 0.25]])
    np.testing.assert_array_equal(answers["a"](["1.png"]), [[0.75, 0.25]])
    with pytest.raises(InputError, match=r"each of the 2 faces to predict in t\.csv, but 1 are missing: '4\.png'"):
        answers["a"](["3.png", "4.png"])


def test_two_faces_never_share_a_row(file: Path) -> None:
    answers = outside_answers(["a"], {"a": file}, classes=CLASSES)["a"]
    assert answers(["a/1.png"]).shape == (1, 2)
    with pytest.raises(InputError, match=r"'a/1\.png' and 'b/1\.png' share that of '1\.png'"):
        answers(["b/1.png"])


def test_views_of_a_face_are_fused(tmp_path: Path) -> None:
    np.savez("t.npz", ids=["a"], probs=[[[0.5, 0.5]], [[1.0, 0.0]]], classes=CLASSES)
    np.testing.assert_allclose(outside_answers(["x"], {"x": "t.npz"}, classes=CLASSES)["x"](["a"]), [[0.75, 0.25]])


@pytest.mark.parametrize("text", ["a", "=t.csv", "a="])
def test_a_file_needs_a_name(text: str) -> None:
    with pytest.raises(InputError, match="Expected `--posteriors` as NAME=FILE, but got"):
        named_files([text])


def test_each_name_once_and_only_of_members_without_a_network(file: Path) -> None:
    with pytest.raises(InputError, match="but got two for 'a'"):
        named_files(["a=x.csv", "a=y.csv"])
    with pytest.raises(InputError, match="All members of the committee have networks"):
        outside_answers([], {"a": file}, classes=CLASSES)


def test_answers_of_other_classes_are_mapped() -> None:
    Path("t.csv").write_text("id,p_sad,p_happy,p_contempt\n1.png,0.25,0.25,0.5\n")
    answers = outside_answers(["x"], {"x": "t.csv"}, classes=CLASSES, wanted={"x": {"contempt": None}})
    np.testing.assert_allclose(answers["x"](["1.png"]), [[0.5, 0.5]])
    with pytest.raises(InputError, match="but got 'contempt'"):
        outside_answers(["x"], {"x": "t.csv"}, classes=CLASSES)
