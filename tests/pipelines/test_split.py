"""Properties of the division into splits."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from backbones.errors import InputError
from pipelines.split import deal_folds, split_faces

LABELS = st.lists(st.integers(0, 6), min_size=20, max_size=200).map(lambda x: np.array(x, dtype=np.int64))
SHARES = st.sampled_from([0.0, 0.05, 0.1, 0.25, 0.3])


@given(LABELS, SHARES, SHARES, st.integers(0, 5))
def test_shares_hold_overall_and_per_class(labels, validation, test, seed):
    splits = split_faces(labels, validation=validation, test=test, seed=seed)
    for name, share in (("validation", validation), ("test", test)):
        count = (splits == name).sum()
        assert abs(count - share * len(labels)) <= 1
        assert (count > 0) == (share > 0)
        for label in np.unique(labels):
            members = labels == label
            assert abs((splits[members] == name).sum() - share * members.sum()) <= 2


@given(LABELS, st.integers(0, 5), st.integers(3, 30))
def test_groups_never_cross(labels, seed, people):
    groups = np.random.default_rng(seed).integers(0, people, len(labels))
    groups[:3] = range(3)
    splits = split_faces(labels, validation=0.1, test=0.1, seed=seed, groups=groups)
    assert set(splits.tolist()) == {"train", "validation", "test"}
    assert all(len(set(splits[groups == group].tolist())) == 1 for group in np.unique(groups))


def test_many_groups_keep_shares_and_classes():
    rng = np.random.default_rng(0)
    groups = rng.integers(0, 300, 5000)
    labels = rng.choice(7, 5000, p=[0.05, 0.05, 0.1, 0.1, 0.2, 0.2, 0.3])
    splits = split_faces(labels, validation=0.1, test=0.2, seed=0, groups=groups)
    for label in range(7):
        shares = [(splits[labels == label] == name).mean() for name in ("train", "validation", "test")]
        np.testing.assert_allclose(shares, [0.7, 0.1, 0.2], atol=0.03)


def test_the_seed_decides():
    labels = np.arange(100) % 7
    first, again, other = (split_faces(labels, validation=0.1, test=0.1, seed=seed) for seed in (0, 0, 1))
    assert first.tolist() == again.tolist() != other.tolist()


def test_too_large_shares_and_too_few_groups_are_refused():
    labels = np.zeros(10, dtype=np.int64)
    with pytest.raises(InputError, match=r"`validation` \+ `test` to be below 1, but got 0\.5 \+ 0\.5"):
        split_faces(labels, validation=0.5, test=0.5, seed=0)
    with pytest.raises(InputError, match="at least 3 groups for 3 splits, but got 2"):
        split_faces(labels, validation=0.1, test=0.1, seed=0, groups=np.arange(10) % 2)


@given(LABELS, st.integers(2, 10), st.integers(0, 5))
def test_folds_hold_every_face_out_once_and_are_stratified(labels, folds, seed):
    fold = deal_folds(labels, None, folds=folds, seed=seed)
    assert set(fold.tolist()) == set(range(folds))
    for label in np.unique(labels):
        assert np.ptp(np.bincount(fold[labels == label], minlength=folds)) <= 1


@given(LABELS, st.integers(2, 10), st.integers(0, 5), st.integers(10, 30))
def test_groups_stay_in_one_fold(labels, folds, seed, people):
    groups = np.random.default_rng(seed).integers(0, people, len(labels))
    groups[:10] = range(10)
    fold = deal_folds(labels, groups, folds=folds, seed=seed)
    assert set(fold.tolist()) == set(range(folds))
    assert all(len(set(fold[groups == group].tolist())) == 1 for group in np.unique(groups))


def test_folds_of_many_groups_keep_classes():
    rng = np.random.default_rng(0)
    groups, labels = rng.integers(0, 300, 5000), rng.choice(4, 5000, p=[0.1, 0.2, 0.3, 0.4])
    fold = deal_folds(labels, groups, folds=5, seed=0)
    for label in range(4):
        np.testing.assert_allclose(np.bincount(fold[labels == label]) / (labels == label).sum(), 0.2, atol=0.03)


@pytest.mark.parametrize(
    ("groups", "message"),
    [
        (None, "Expected at most 9 folds for as many faces, but got 10."),
        (np.arange(9) % 3, "Expected at most 3 folds for as many groups of faces, but got 10."),
    ],
)
def test_more_folds_than_faces_or_groups_are_refused(groups, message):
    with pytest.raises(InputError, match=message):
        deal_folds(np.arange(9) % 3, groups, folds=10, seed=0)
