"""What no data set may look like."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from backbones.errors import InputError
from pipelines.listing import Listing, check_listing

SOUND = Listing(
    ids=np.array(list("abcdef")),
    labels=np.array([0, 1, 0, 1, 0, 1]),
    splits=np.array(["train"] * 3 + ["validation"] * 2 + ["test"]),
    classes=("happy", "sad"),
    shape=(48, 48),
    groups=np.array(["p", "p", "q", "r", "r", "s"]),
)


def test_a_sound_listing_passes():
    check_listing(SOUND, source="here")
    check_listing(replace(SOUND, splits=np.array(["train"] * 3 + ["validation"] * 3)), source="here")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"ids": np.array(list("abcdea"))}, "Expected every face once in here, but got 'a' 2 times"),
        ({"splits": np.array(["train"] * 6)}, "validation split of here, but got none .6 train, 0 validation, 0 test"),
        ({"splits": np.array(["validation"] * 6)}, "train split of here, but got none"),
        ({"splits": np.array(["train"] * 2 + ["validation"] * 4)}, "2 train, 4 validation, 0 test: .* look swapped"),
        ({"classes": ("happy", "uncertain")}, "Expected no class named `uncertain` in here: it stands for a face left"),
        ({"labels": np.array([0, 0, 0, 1, 1, 1])}, "at least 2 classes in here"),
        ({"groups": np.array(list("pqrrst"))}, "Expected every group in one split .* but got 'r' in train and valid"),
    ],
)
def test_an_unfit_listing_is_refused(change, message):
    with pytest.raises(InputError, match=message):
        check_listing(replace(SOUND, **change), source="here")
