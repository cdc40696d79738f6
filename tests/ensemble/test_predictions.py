"""What a least confidence leaves undecided."""

import numpy as np
import pytest

from backbones.errors import InputError
from ensemble.predictions import Predictions

IDS = np.array(["a", "b", "c"])
PROBS = np.array([[0.7, 0.3], [0.5, 0.5], [0.4, 0.6]])


def predictions(**more):
    return Predictions(ids=IDS, probs=PROBS, classes=("happy", "sad"), **more)


def test_faces_below_the_least_confidence_have_no_label():
    unsure = predictions(min_confidence=0.6)
    assert unsure.names == ["happy", "uncertain", "sad"]
    assert unsure.decided.tolist() == [True, False, True]
    assert unsure.votes.tolist() == [0, 0, 1]
    np.testing.assert_array_equal(unsure.probs, PROBS)
    assert predictions(min_confidence=1.0).names == ["uncertain"] * 3
    assert predictions().names == ["happy", "happy", "sad"]


def test_another_order_keeps_the_least_confidence():
    turned = predictions(min_confidence=0.65).aligned(IDS[::-1], ("happy", "sad"))
    assert turned.names == ["uncertain", "uncertain", "happy"]


@pytest.mark.parametrize(
    ("value", "shown"), [(0.0, "0"), (-0.5, "-0.5"), (1.01, "1.01"), (float("nan"), "nan"), (float("inf"), "inf")]
)
def test_a_least_confidence_that_is_none_is_refused(value, shown):
    with pytest.raises(InputError) as caught:
        predictions(min_confidence=value)
    assert str(caught.value) == f"Expected `min_confidence` to be above 0 and at most 1, but got {shown}."
