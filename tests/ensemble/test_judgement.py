"""What votes say about labels, and what a member is trained on where it learns from both."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression

from backbones.errors import InputError
from ensemble.faces import Faces
from ensemble.judgement import expected_labels

CLASSES = ("angry", "happy", "sad")


def opinions(count: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Votes of ten judges and a label, drawn independently from the same (N, 3) distribution, which comes last."""
    chance = np.random.default_rng(seed)
    truth = chance.dirichlet([0.4] * 3, size=count)
    votes = np.stack([chance.multinomial(10, row) for row in truth]) / 10
    labels = (truth.cumsum(axis=1) < chance.random((count, 1))).sum(axis=1)
    return votes.astype(np.float32), labels, truth


def faces(votes: np.ndarray | None, labels: np.ndarray) -> Faces:
    count = len(labels)
    return Faces(
        split="train", classes=CLASSES, ids=np.arange(count).astype(str), images=np.zeros((count, 4, 4), np.uint8),
        labels=labels, votes=votes, digest="", order_digest="",
    )  # fmt: skip


def test_the_expectation_scatters_less_than_the_label_about_the_same_mean() -> None:
    votes, labels, truth = opinions(4000)
    expected, one_hot = expected_labels(votes, labels), np.eye(3)[labels]
    np.testing.assert_allclose(expected.sum(axis=1), 1, rtol=1e-5)
    np.testing.assert_allclose(expected.mean(axis=0), one_hot.mean(axis=0), atol=2e-3)
    assert np.square(expected - truth).mean() < 0.2 * np.square(one_hot - truth).mean()


def test_judges_who_mean_something_else_by_a_class_are_translated() -> None:
    votes, labels, _ = opinions(4000)
    turned = expected_labels(votes[:, [1, 2, 0]], labels)
    np.testing.assert_allclose(turned, expected_labels(votes, labels), atol=1e-3)


def test_both_is_half_the_label_and_half_the_expectation() -> None:
    votes, labels, _ = opinions(500)
    targets = faces(votes, labels).targets("both")
    counts = np.log1p(10 * votes.astype(float))
    reference = LogisticRegression(max_iter=1000).fit(counts, labels).predict_proba(counts)
    assert targets.dtype == np.float32
    np.testing.assert_allclose(targets, (np.eye(3)[labels] + reference) / 2, atol=1e-5)


@pytest.mark.parametrize("present", [[1], [0, 2]])
def test_a_class_without_faces_is_not_expected(present: list[int]) -> None:
    votes, labels, _ = opinions(300)
    kept = np.isin(labels, present)
    expected = expected_labels(votes[kept], labels[kept])
    absent = [k for k in range(3) if k not in present]
    assert expected[:, absent].max() == 0
    np.testing.assert_allclose(expected.sum(axis=1), 1, rtol=1e-5)


@pytest.mark.parametrize("kind", ["votes", "both"])
def test_without_votes_there_is_nothing_to_learn_from(kind: str) -> None:
    _, labels, _ = opinions(10)
    with pytest.raises(InputError, match=f"because of `targets: {kind}`, but it has none"):
        faces(None, labels).targets(kind)
    np.testing.assert_array_equal(faces(None, labels).targets("labels"), np.eye(3)[labels])
