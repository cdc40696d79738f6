"""Stratified folds."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from backbones.errors import InputError
from ensemble.fold import stratified_folds


@settings(max_examples=60, deadline=None)
@given(labels=st.lists(st.integers(0, 4), min_size=2, max_size=60), folds=st.integers(2, 12), seed=st.integers(0, 99))
def test_folds_and_classes_are_balanced(labels, folds, seed):
    fold = stratified_folds(labels, folds=folds, seed=seed)
    used = min(folds, len(labels))
    assert np.ptp(np.bincount(fold, minlength=used)) <= 1
    assert set(fold.tolist()) == set(range(used))
    for label in set(labels):
        assert np.ptp(np.bincount(fold[np.array(labels) == label], minlength=used)) <= 1


def test_seed_decides():
    labels = np.arange(200) % 7
    first = stratified_folds(labels, folds=5, seed=1)
    np.testing.assert_array_equal(first, stratified_folds(labels, folds=5, seed=1))
    assert (first != stratified_folds(labels, folds=5, seed=2)).any()


@pytest.mark.parametrize(
    ("labels", "folds", "message"),
    [([0, 1], 1, "Expected `folds` to be at least 2, but got 1"), ([0], 5, "at least 2 labelled faces .*but got 1")],
)
def test_too_few_are_refused(labels, folds, message):
    with pytest.raises(InputError, match=message):
        stratified_folds(labels, folds=folds)
