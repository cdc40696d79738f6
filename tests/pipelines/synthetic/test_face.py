"""What `synthetic_faces` promises: the same bytes every time, prefixes, balance, and the right difficulty."""

from __future__ import annotations

import hashlib
import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from backbones.errors import EnsembleError
from pipelines.synthetic import EXPRESSIONS, synthetic_faces

CLASSES = len(EXPRESSIONS)


@pytest.mark.parametrize("count", [1, 6, 7, 21, 22, 100])
def test_shapes_types_and_ranges(count: int) -> None:
    images, labels, identities = synthetic_faces(count)
    assert images.shape == (count, 48, 48)
    assert labels.shape == identities.shape == (count,)
    assert [part.dtype for part in (images, labels, identities)] == [np.uint8, np.int64, np.int64]
    assert labels.min() >= 0
    assert labels.max() < CLASSES


@settings(max_examples=8, deadline=None)
@given(count=st.integers(1, 70), more=st.integers(0, 70), seed=st.integers(0, 2**40))
def test_a_longer_call_begins_with_the_shorter_one(count: int, more: int, seed: int) -> None:
    short, long = synthetic_faces(count, seed=seed), synthetic_faces(count + more, seed=seed)
    for position in range(3):
        np.testing.assert_array_equal(short[position], long[position][:count])


def test_another_process_draws_the_same_bytes() -> None:
    program = (
        "import hashlib; from pipelines.synthetic import synthetic_faces;"
        "print(hashlib.sha256(b''.join(part.tobytes() for part in synthetic_faces(30, seed=5))).hexdigest())"
    )
    elsewhere = subprocess.run([sys.executable, "-c", program], check=True, capture_output=True, text=True).stdout
    here = hashlib.sha256(b"".join(part.tobytes() for part in synthetic_faces(30, seed=5))).hexdigest()
    assert elsewhere.strip() == here


@pytest.mark.parametrize("count", [1, 5, 13, 21, 50])
def test_labels_are_balanced_up_to_rounding(count: int) -> None:
    counts = np.bincount(synthetic_faces(count, seed=3)[1], minlength=CLASSES)
    assert counts.max() - counts.min() <= 1


def test_labels_are_shuffled() -> None:
    rounds = synthetic_faces(210)[1].reshape(-1, CLASSES)
    assert len(np.unique(rounds, axis=0)) > 20


def test_three_to_six_faces_share_an_identity_and_differ() -> None:
    images, _, identities = synthetic_faces(210)
    faces_per_person = np.bincount(identities)
    assert faces_per_person.min() == 3
    assert faces_per_person.max() == 6
    assert len(np.unique(images.reshape(len(images), -1), axis=0)) == len(images)


def test_an_identity_is_recognisable() -> None:
    """Faces of one person are more alike than faces of two, or the identities would mean nothing."""
    images, _, identities = synthetic_faces(210)
    pixels = images.reshape(len(images), -1).astype(np.float64)
    pixels = (pixels - pixels.mean(1, keepdims=True)) / pixels.std(1, keepdims=True)
    likeness = pixels @ pixels.T / pixels.shape[1]
    same = identities[:, None] == identities[None, :]
    others = ~np.eye(len(images), dtype=bool)
    assert likeness[same & others].mean() > likeness[~same].mean() + 0.05


def test_seeds_differ() -> None:
    first, second = synthetic_faces(21, seed=0), synthetic_faces(21, seed=1)
    assert not np.array_equal(first[1], second[1])
    assert (first[0] != second[0]).mean() > 0.9


def test_pictures_are_well_exposed() -> None:
    images = synthetic_faces(210)[0]
    assert images.std(axis=(1, 2)).min() > 8
    assert 90 < images.mean() < 160


@pytest.mark.parametrize(
    ("count", "seed", "message"),
    [
        (0, 0, "Expected `count` to be at least 1, but got 0."),
        (-3, 0, "Expected `count` to be at least 1, but got -3."),
        (5, -1, "Expected `seed` to be at least 0, but got -1."),
    ],
)
def test_bad_arguments_are_named(count: int, seed: int, message: str) -> None:
    with pytest.raises(ValueError, match=f"^{message}$") as caught:
        synthetic_faces(count, seed=seed)
    assert isinstance(caught.value, EnsembleError)


def test_a_linear_model_learns_every_expression_but_none_well() -> None:
    """The stronger half of this promise, that a small network passes 0.90, is in `benchmarks`."""
    images, labels, _ = synthetic_faces(1500)
    pixels = images.reshape(len(images), -1).astype(np.float32)
    # Few iterations on purpose: the pixels are separable, so the optimum lies at infinity.
    model = make_pipeline(StandardScaler(), LogisticRegression(tol=0.05, max_iter=200))
    predicted = model.fit(pixels[:1200], labels[:1200]).predict(pixels[1200:])
    hits = predicted == labels[1200:]
    assert 0.40 < hits.mean() < 0.75
    for label in range(CLASSES):
        assert hits[labels[1200:] == label].mean() > 1.3 / CLASSES, EXPRESSIONS[label]
